#include "net/http_parser.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/status.hpp>
#include <cstring>

#include "base/strings.h"

namespace millwright::net {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

std::string_view plain(beast::string_view text) { return {text.data(), text.size()}; }

// Collects what Beast reports. Body callbacks are used by ChunkedDecoder only.
template <bool isRequest>
class Collector : public http::basic_parser<isRequest> {
  public:
    explicit Collector(MessageHead& head) : head_(head) {
        this->eager(false);
        this->body_limit(boost::none);
    }

    size_t max_data = 0;
    std::string_view data;
    uint64_t left_in_chunk = 0;

  private:
    void on_request_impl(http::verb, beast::string_view method, beast::string_view target, int version,
                         beast::error_code&) override {
        head_.method = plain(method);
        head_.target = plain(target);
        head_.http_1_0 = version == 10;
    }
    void on_response_impl(int status, beast::string_view, int version, beast::error_code&) override {
        head_.status = status;
        head_.http_1_0 = version == 10;
    }
    void on_field_impl(http::field, beast::string_view name, beast::string_view value, beast::error_code&) override {
        if (!this->is_header_done()) head_.headers.add(std::string(plain(name)), std::string(plain(value)));
    }
    void on_header_impl(beast::error_code&) override {}
    void on_body_init_impl(const boost::optional<uint64_t>&, beast::error_code&) override {}
    size_t on_body_impl(beast::string_view body, beast::error_code&) override { return body.size(); }
    void on_chunk_header_impl(uint64_t size, beast::string_view, beast::error_code&) override { left_in_chunk = size; }
    size_t on_chunk_body_impl(uint64_t, beast::string_view body, beast::error_code&) override {
        data = plain(body).substr(0, max_data);
        left_in_chunk -= data.size();
        return data.size();
    }
    void on_finish_impl(beast::error_code&) override {}

    MessageHead& head_;
};

Error bad_message(std::string what) { return Error{ErrorKind::InvalidInput, std::move(what), ""}; }

size_t count_fields(const Headers& headers, std::string_view name) {
    size_t count = 0;
    for (const auto& field : headers.all()) count += equals_ignoring_case(field.first, name);
    return count;
}

Result<void> check_framing(const MessageHead& head) {
    const auto length = head.headers.find("Content-Length");
    const auto coding = head.headers.find("Transfer-Encoding");
    if (length && coding) return bad_message("both Content-Length and Transfer-Encoding");
    if (length && (count_fields(head.headers, "Content-Length") > 1 || length->find(',') != std::string_view::npos))
        return bad_message("more than one Content-Length");
    if (coding && count_fields(head.headers, "Transfer-Encoding") > 1)
        return bad_message("more than one Transfer-Encoding");
    if (coding && (!head.chunked || !equals_ignoring_case(*coding, "chunked") || head.http_1_0))
        return bad_message("the only transfer coding supported is \"chunked\"");
    return {};
}

bool is_plain_host_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_';
}

// A host name or address, with a port or without: nothing that another reader could split elsewhere.
bool is_plain_host(std::string_view text) {
    if (text.starts_with('[')) {
        const size_t end = text.find(']');
        if (end == std::string_view::npos || end < 3) return false;
        if (text.substr(1, end - 1).find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos)
            return false;
        text.remove_prefix(end + 1);
    } else {
        const size_t end = std::min(text.find(':'), text.size());
        if (end == 0 || !std::all_of(text.begin(), text.begin() + static_cast<ptrdiff_t>(end), is_plain_host_character))
            return false;
        text.remove_prefix(end);
    }
    constexpr size_t kMostPortDigits = 5;
    if (text.empty()) return true;
    text.remove_prefix(1);
    return text.size() <= kMostPortDigits && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// RFC 9112 3.2.2: a server accepts the absolute form, and its authority wins over the Host field.
Result<void> make_origin_form(MessageHead& head) {
    constexpr std::string_view kScheme = "http://";
    if (!equals_ignoring_case(std::string_view(head.target).substr(0, kScheme.size()), kScheme)) return {};
    const size_t end = std::min(head.target.find_first_of("/?", kScheme.size()), head.target.size());
    const std::string authority = head.target.substr(kScheme.size(), end - kScheme.size());
    if (!is_plain_host(authority)) return bad_message("a request target without a host");
    head.headers.set("Host", authority);
    head.target.erase(0, end);
    if (head.target.empty() || head.target.front() != '/') head.target.insert(0, "/");
    return {};
}

Result<void> check_target(const MessageHead& head) {
    if (head.target.size() > kMaxTargetBytes)
        return Error{ErrorKind::LimitExceeded, "the request target is too long", ""};
    if (head.method == "CONNECT")
        return head.target.find('/') == std::string::npos && head.target.find(':') != std::string::npos
                   ? Result<void>()
                   : bad_message("CONNECT needs host:port");
    if (head.target == "*" && head.method == "OPTIONS") return {};
    if (head.target.front() != '/') return bad_message("the request target is not a path");
    if (head.target.find('#') != std::string::npos) return bad_message("a request target has no fragment");
    return {};
}

Result<void> check_request(MessageHead& head) {
    const size_t hosts = count_fields(head.headers, "Host");
    if (hosts > 1 || (hosts == 0 && !head.http_1_0)) return bad_message("exactly one Host field is needed");
    if (hosts == 1 && !is_plain_host(*head.headers.find("Host"))) return bad_message("the Host field names no host");
    TRY(make_origin_form(head));
    TRY(check_target(head));
    if (const auto expect = head.headers.find("Expect"); expect && !head.http_1_0) {
        if (!equals_ignoring_case(*expect, "100-continue")) return bad_message("an expectation that cannot be met");
        head.expects_continue = true;
    }
    return {};
}

template <bool isRequest>
Result<MessageHead> parse_with_beast(std::string_view text) {
    MessageHead head;
    Collector<isRequest> parser(head);
    // The caller has bounded the head already; Beast's own limit must not be the smaller one.
    parser.header_limit(static_cast<uint32_t>(std::min<size_t>(text.size() + 1, UINT32_MAX)));
    beast::error_code failure;
    const size_t used = parser.put(boost::asio::const_buffer(text.data(), text.size()), failure);
    if (failure || !parser.is_header_done() || used != text.size())
        return bad_message("not an HTTP/1.1 message: " + (failure ? failure.message() : "cut short"));
    head.keep_alive = parser.keep_alive();
    if (!isRequest) {
        // Beast's answer for responses also says whether the body ends with the connection; we want the field
        // only.
        const std::string connection = to_lower(head.headers.get("Connection"));
        head.keep_alive = head.http_1_0 ? connection.find("keep-alive") != std::string::npos
                                        : connection.find("close") == std::string::npos;
    }
    head.chunked = parser.chunked();
    if (head.headers.all().size() > kMaxFields)
        return Error{ErrorKind::LimitExceeded, "the request has too many header fields", ""};
    if (const auto length = head.headers.find("Content-Length")) {
        const auto value = parse_int(*length);
        if (!value || *value < 0 || length->front() == '+') return bad_message("bad Content-Length");
        head.content_length = static_cast<uint64_t>(*value);
    }
    TRY(check_framing(head));
    return head;
}

}  // namespace

Result<size_t> HeadScanner::find_end(std::string_view bytes) {
    while (scanned_ < bytes.size()) {
        const void* found = std::memchr(bytes.data() + scanned_, '\n', bytes.size() - scanned_);
        if (!found) {
            scanned_ = bytes.size();
            return size_t{0};
        }
        const size_t end = static_cast<size_t>(static_cast<const char*>(found) - bytes.data());
        if (end == line_ || bytes[end - 1] != '\r') return bad_message("a line that ends without CR LF");
        if (bytes[line_] == ' ' || bytes[line_] == '\t') return bad_message("a folded header line");
        const bool empty = end == line_ + 1;
        scanned_ = line_ = end + 1;
        if (empty) return end + 1;
    }
    return size_t{0};
}

Result<MessageHead> parse_head(MessageKind kind, std::string_view head) {
    if (kind == MessageKind::Response) return parse_with_beast<false>(head);
    auto parsed = TRY(parse_with_beast<true>(head));
    TRY(check_request(parsed));
    return parsed;
}

// Beast decodes chunks only after a head, so each decoder starts with one that says nothing else.
struct ChunkedDecoder::Impl {
    Impl() : parser(head) {
        constexpr std::string_view kHead = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        beast::error_code failure;
        parser.put(boost::asio::const_buffer(kHead.data(), kHead.size()), failure);
        CHECK(!failure && parser.is_header_done());
    }
    MessageHead head;
    Collector<true> parser;
};

ChunkedDecoder::ChunkedDecoder() : impl_(std::make_unique<Impl>()) {}
ChunkedDecoder::~ChunkedDecoder() = default;
ChunkedDecoder::ChunkedDecoder(ChunkedDecoder&&) noexcept = default;
ChunkedDecoder& ChunkedDecoder::operator=(ChunkedDecoder&&) noexcept = default;

bool ChunkedDecoder::finished() const { return impl_->parser.is_done(); }

Result<ChunkedDecoder::Piece> ChunkedDecoder::next(std::string_view input, size_t max_data) {
    auto& parser = impl_->parser;
    parser.max_data = max_data;
    parser.data = {};
    beast::error_code failure;
    Piece piece;
    // The shortest end of a body has five bytes. Beast asserts that it sees no fewer after the size of the
    // last chunk.
    if (parser.left_in_chunk == 0 && input.size() < 5) {
        piece.need_more = true;
        return piece;
    }
    piece.consumed = parser.put(boost::asio::const_buffer(input.data(), input.size()), failure);
    if (failure == http::error::need_more) {
        piece.need_more = true;
        return piece;
    }
    if (failure) return bad_message("broken chunked body: " + failure.message());
    piece.data = parser.data;
    return piece;
}

std::string_view reason_phrase(int status) {
    const auto phrase = http::obsolete_reason(static_cast<http::status>(status));
    return phrase == "<unknown-status>" ? "Unknown" : plain(phrase);
}

bool is_method_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_field_text(std::string_view text) {
    for (const char c : text)
        if (c == '\r' || c == '\n' || c == '\0') return false;
    return true;
}

}  // namespace millwright::net
