// A small blocking HTTP/1.1 client with kept-alive connections, for replicas behind unix sockets or loopback
// ports.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "net/http.h"

namespace millwright::net {

// Ends the calls that it was given to, from another thread: those under way and those that begin later.
class Interrupt {
  public:
    void interrupt();
    bool interrupted() const;

  private:
    friend class InterruptibleUse;
    mutable Mutex mutex_;
    bool interrupted_ GUARDED_BY(mutex_) = false;
    int socket_ GUARDED_BY(mutex_) = -1;  // of the call under way
};

struct ClientResponse {
    int status = 0;
    Headers headers;
    std::string body;
};

// One peer. Thread-safe: each call takes an idle connection or opens one.
class HttpClient {
  public:
    static std::unique_ptr<HttpClient> unix_socket(std::string path);
    static std::unique_ptr<HttpClient> tcp(std::string address, uint16_t port);
    virtual ~HttpClient() = default;

    // The deadline covers everything. Unavailable: could not connect, or the peer closed before answering (a
    // request on a stale kept-alive connection is retried once on a fresh one). Error detail "timeout" when
    // the time was up. LimitExceeded when the answer is larger than `max_body`.
    virtual Result<ClientResponse> call(std::string_view method, std::string_view target, const Headers& headers,
                                        std::string_view body, std::chrono::milliseconds timeout,
                                        size_t max_body = size_t{256} << 20) = 0;

    // The same for an answer that is handed over while it comes.
    struct Patience {
        std::chrono::milliseconds head{60'000};   // from the call to the head of the answer
        std::chrono::milliseconds pause{60'000};  // without a byte of the body
        std::chrono::milliseconds whole{480'000};
        Interrupt* interrupt = nullptr;  // Unavailable "interrupted" from then on; of one call at a time
    };
    class Receiver {
      public:
        virtual ~Receiver() = default;
        // The head; `response.body` is empty. False: the rest is not wanted, the connection is closed.
        virtual bool begin(const ClientResponse& response) = 0;
        virtual bool piece(std::string_view bytes) = 0;  // likewise
    };
    // Errors as above; after begin() has been called, they are about the body. No answer is asked for twice once its
    // first byte came.
    virtual Result<void> stream(std::string_view method, std::string_view target, const Headers& headers,
                                std::string_view body, const Patience& patience, Receiver& receiver) = 0;
};

}  // namespace millwright::net
