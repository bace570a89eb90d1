#include "net/http_writer.h"

#include <charconv>
#include <ctime>

#include "base/strings.h"
#include "base/time.h"

namespace millwright::net {
namespace {

// Formatted once per second and thread.
const std::string& date_now() {
    thread_local time_t formatted_for = -1;
    thread_local std::string text;
    const time_t now = std::time(nullptr);
    if (now != formatted_for) {
        text = format_rfc1123(Timestamp(std::chrono::seconds(now)));
        formatted_for = now;
    }
    return text;
}

bool has_no_body(int status) { return status < 200 || status == 204 || status == 304; }

bool set_by_server(std::string_view name) {
    constexpr std::string_view kNames[] = {"Connection", "Content-Length", "Date", "Transfer-Encoding"};
    for (const auto own : kNames)
        if (name.size() == own.size() && equals_ignoring_case(name, own)) return true;
    return false;
}

std::string length_field(uint64_t length) { return "Content-Length: " + std::to_string(length) + "\r\n"; }

}  // namespace

HttpWriter::HttpWriter(Socket& socket, const MessageHead& request, const IncomingBody& body,
                       std::chrono::milliseconds idle, bool may_keep_alive)
    : socket_(socket), request_(request), body_(body), idle_(idle), keep_alive_(may_keep_alive && request.keep_alive) {}

Result<std::string> HttpWriter::make_head(int status, const Headers& headers, std::string_view framing) {
    if (state_ != State::Nothing) return internal_error("a request was answered twice");
    if (body_.failed() || body_.waits_for_continue() || body_.remaining().value_or(0) > kDrainLimit)
        keep_alive_ = false;
    std::string head;
    head.reserve(512);
    head += "HTTP/1.1 ";
    head += std::to_string(status);
    head += ' ';
    head += reason_phrase(status);
    head += "\r\n";
    for (const auto& [name, value] : headers.all()) {
        if (set_by_server(name)) continue;
        if (!is_field_text(name) || !is_field_text(value))
            return internal_error("a response header with a line break", name);
        head += name;
        head += ": ";
        head += value;
        head += "\r\n";
    }
    head += "Date: ";
    head += date_now();
    head += "\r\n";
    head += framing;
    if (!keep_alive_)
        head += "Connection: close\r\n";
    else if (request_.http_1_0)
        head += "Connection: keep-alive\r\n";
    head += "\r\n";
    return head;
}

Result<void> HttpWriter::check_streaming() const {
    if (state_ == State::Streaming) return {};
    if (state_ == State::Broken) return Error{ErrorKind::Unavailable, "the connection broke", ""};
    return internal_error("a piece of a body outside of start and finish");
}

Result<void> HttpWriter::conclude(Result<void> outcome) {
    state_ = outcome ? State::Complete : State::Broken;
    return outcome;
}

Result<void> HttpWriter::send(int status, const Headers& headers, std::string_view body) {
    const bool headers_only = has_no_body(status);
    const std::string head = TRY(make_head(status, headers, headers_only ? "" : length_field(body.size())));
    Pace pace(idle_);
    return conclude(socket_.send(head, headers_only || request_.method == "HEAD" ? "" : body, pace));
}

Result<void> HttpWriter::send_file(int status, const Headers& headers, int fd, uint64_t offset, uint64_t length) {
    const std::string head = TRY(make_head(status, headers, length_field(length)));
    const bool with_body = request_.method != "HEAD" && length > 0;
    Pace pace(idle_);
    const auto outcome = socket_.send(head, "", pace, with_body);
    if (!outcome || !with_body) return conclude(outcome);
    return conclude(socket_.send_file(fd, offset, length, pace));
}

Result<void> HttpWriter::send_headers_only(int status, const Headers& headers, uint64_t content_length) {
    const bool announced = status != 204 && status >= 200;
    // Elsewhere the client would wait for the body that is announced.
    if (request_.method != "HEAD" && !has_no_body(status) && content_length > 0)
        return internal_error("headers without their body on a " + request_.method);
    const std::string head = TRY(make_head(status, headers, announced ? length_field(content_length) : ""));
    Pace pace(idle_);
    return conclude(socket_.send(head, "", pace));
}

Result<void> HttpWriter::start(int status, const Headers& headers) {
    // HTTP/1.0 knows no chunks: there the end of the connection ends the body.
    if (request_.http_1_0) keep_alive_ = false;
    const std::string head = TRY(make_head(status, headers, request_.http_1_0 ? "" : "Transfer-Encoding: chunked\r\n"));
    state_ = State::Streaming;
    Pace pace(idle_);
    const auto outcome = socket_.send(head, "", pace);
    if (!outcome) state_ = State::Broken;
    return outcome;
}

Result<void> HttpWriter::write(std::string_view bytes) {
    TRY(check_streaming());
    if (bytes.empty() || request_.method == "HEAD") return {};
    Pace pace(idle_);
    Result<void> outcome;
    if (request_.http_1_0) {
        outcome = socket_.send(bytes, "", pace);
    } else {
        char size[20];
        char* end = std::to_chars(size, size + 16, bytes.size(), 16).ptr;
        *end++ = '\r';
        *end++ = '\n';
        outcome = socket_.send({size, static_cast<size_t>(end - size)}, bytes, pace, true);
        if (outcome) outcome = socket_.send("\r\n", "", pace);
    }
    if (!outcome) state_ = State::Broken;
    return outcome;
}

Result<void> HttpWriter::finish() {
    TRY(check_streaming());
    Pace pace(idle_);
    const bool last_chunk = !request_.http_1_0 && request_.method != "HEAD";
    return conclude(last_chunk ? socket_.send("0\r\n\r\n", "", pace) : Result<void>());
}

}  // namespace millwright::net
