// TLS 1.2 and 1.3 on accepted connections; OpenSSL stays behind tls.cc.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millwright::net {

// A certificate with its key, ready to be shown to clients. Immutable; shared by connections.
class TlsContext {
  public:
    // PEM: the certificate first, then the chain up to what clients know. InvalidInput: one of them cannot be read, or
    // they do not belong together.
    static Result<std::shared_ptr<const TlsContext>> from_pem(const std::string& certificates, const std::string& key);
    virtual ~TlsContext() = default;
};

// The server's side of one connection. Never blocks; one thread at a time.
class TlsStream {
  public:
    // REQUIRES: `fd` is non-blocking and outlives this.
    static Result<std::unique_ptr<TlsStream>> accept(std::shared_ptr<const TlsContext> context, int fd);
    virtual ~TlsStream() = default;

    // True once it is done; false: wait for wanted_events().
    virtual Result<bool> handshake() = 0;
    // As Socket::receive_now: nullopt when nothing is there, 0 at the end. Unavailable: the connection broke.
    virtual Result<std::optional<size_t>> read(std::span<char> buffer) = 0;
    // How many bytes were taken; nullopt: wait, then offer the same bytes again.
    virtual Result<std::optional<size_t>> write(std::string_view bytes) = 0;
    // What the last call that could not go on waits for, as poll(2) events.
    virtual short wanted_events() const = 0;
    // Tells the peer that nothing more will be sent.
    virtual void finish_sending() = 0;
};

}  // namespace millwright::net
