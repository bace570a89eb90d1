// HTTP/1.1 messages as the rest of the server sees them. Everything is blocking, with deadlines; no socket
// type shows.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace millwright::net {

// Header fields in the order received; names compare ignoring ASCII case.
class Headers {
  public:
    Headers() = default;
    Headers(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}
    std::optional<std::string_view> find(std::string_view name) const;  // the first one
    std::string get(std::string_view name, std::string_view otherwise = "") const;
    bool has(std::string_view name) const { return find(name).has_value(); }
    void add(std::string name, std::string value);
    void set(std::string_view name, std::string value);  // replaces all of that name
    void erase(std::string_view name);
    const std::vector<std::pair<std::string, std::string>>& all() const { return fields_; }

  private:
    std::vector<std::pair<std::string, std::string>> fields_;
};

// A message body as a stream of bytes.
class BodyReader {
  public:
    virtual ~BodyReader() = default;
    // Fills some of `buffer`; 0 means the end. InvalidInput: the body is cut short or its framing is broken.
    // Unavailable: the peer was too slow. Sends "100 Continue" before the first read when the client waits
    // for it.
    virtual Result<size_t> read(std::span<char> buffer) = 0;
    // Bytes in total, unless the body is chunked.
    virtual std::optional<uint64_t> length() const = 0;
};

// The whole body; LimitExceeded beyond `limit` bytes.
Result<std::string> read_all(BodyReader& body, size_t limit);

struct Request {
    std::string method;
    std::string target;  // as received: path and query, still percent-encoded
    Headers headers;
    BodyReader* body = nullptr;  // never null in a handler
    std::string peer;            // address of the client, for the log
    bool encrypted = false;      // came over TLS

    std::string_view raw_path() const;   // target up to '?'
    std::string_view raw_query() const;  // after '?', or empty
};

// Answers one request. Exactly one of send, send_file or start is called; if none is, the server answers 500.
// Content-Length, Transfer-Encoding, Connection and Date are set by the server; everything else by the
// caller.
class ResponseWriter {
  public:
    virtual ~ResponseWriter() = default;
    virtual Result<void> send(int status, const Headers& headers, std::string_view body) = 0;
    // `length` bytes of `fd` from `offset`, without copying through user space where the kernel can.
    virtual Result<void> send_file(int status, const Headers& headers, int fd, uint64_t offset, uint64_t length) = 0;
    // Headers of an answer to HEAD, or a 304: `content_length` is announced, no body follows.
    virtual Result<void> send_headers_only(int status, const Headers& headers, uint64_t content_length) = 0;
    // A chunked body: write() any number of times, then finish(). An unfinished answer closes the connection.
    virtual Result<void> start(int status, const Headers& headers) = 0;
    virtual Result<void> write(std::string_view bytes) = 0;
    virtual Result<void> finish() = 0;
    virtual bool answered() const = 0;
};

// Called on a worker thread; must not keep references after it returns.
using Handler = std::function<void(Request&, ResponseWriter&)>;

// Query string or form body as decoded pairs, in order. `a` without '=' has an empty value.
std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query);

}  // namespace millwright::net
