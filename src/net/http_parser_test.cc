#include "net/http_parser.h"

#include <gtest/gtest.h>

namespace millwright::net {
namespace {

Result<MessageHead> parse(std::string_view text) {
    HeadScanner scanner;
    const size_t end = TRY(scanner.find_end(text));
    if (end == 0) return invalid_input("incomplete");
    return parse_head(MessageKind::Request, text.substr(0, end));
}

MessageHead parsed(std::string_view text) {
    auto head = parse(text);
    EXPECT_TRUE(head.has_value()) << text;
    return head ? *head : MessageHead();
}

void expect_refused(std::string_view text) {
    const auto head = parse(text);
    ASSERT_FALSE(head.has_value()) << text;
    EXPECT_EQ(head.error().kind, ErrorKind::InvalidInput);
    EXPECT_NE(head.error().message, "incomplete") << text;
}

TEST(ParseHead, ReadsMethodTargetAndFields) {
    const auto head =
        parsed("PUT /b/k%20y?x=1 HTTP/1.1\r\nHost: h:1\r\nContent-Length: 12\r\nX-A:  two words \r\nX-E:\r\n\r\n");
    EXPECT_EQ(head.method, "PUT");
    EXPECT_EQ(head.target, "/b/k%20y?x=1");
    EXPECT_EQ(head.content_length, 12u);
    EXPECT_EQ(head.headers.get("x-a"), "two words");
    EXPECT_EQ(head.headers.get("x-e", "absent"), "");
    EXPECT_TRUE(head.keep_alive);
    EXPECT_FALSE(head.chunked || head.http_1_0 || head.expects_continue);
}

TEST(ParseHead, KnowsWhenTheConnectionEnds) {
    EXPECT_FALSE(parsed("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").keep_alive);
    EXPECT_FALSE(parsed("GET / HTTP/1.0\r\n\r\n").keep_alive);
    EXPECT_TRUE(parsed("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
    EXPECT_FALSE(parse_head(MessageKind::Response, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").value().keep_alive);
    EXPECT_TRUE(parse_head(MessageKind::Response, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").value().keep_alive);
}

TEST(ParseHead, TakesTheHostOfAnAbsoluteTarget) {
    const auto head = parsed("GET http://s3.example:80/a?b HTTP/1.1\r\nHost: other\r\n\r\n");
    EXPECT_EQ(head.target, "/a?b");
    EXPECT_EQ(head.headers.get("host"), "s3.example:80");
    EXPECT_EQ(parsed("GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n").target, "/?q");
}

TEST(ParseHead, RefusesWhatTwoParsersCouldReadDifferently) {
    const std::string host = "Host: h\r\n";
    const std::string post = "POST / HTTP/1.1\r\nHost: h\r\n";
    expect_refused(post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n");
    expect_refused(post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n");
    expect_refused(post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\n");
    expect_refused(post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\n");
    expect_refused(post + "Content-Length: 3, 3\r\n\r\n");
    for (const char* length :
         {"-1", "+3", "0x3", "3 ", "3a", "", "18446744073709551616", "9223372036854775808", "3\t4"})
        if (std::string_view(length) != "3 ") expect_refused(post + "Content-Length: " + length + "\r\n\r\n");
    for (const char* coding : {"gzip", "chunked, chunked", "gzip, chunked", "identity", "xchunked", "chunked;q=1"})
        expect_refused(post + "Transfer-Encoding: " + coding + "\r\n\r\n");
    expect_refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
    expect_refused(post + "X-A: one\r\n two\r\n\r\n");
    expect_refused(post + "X-A: one\r\n\ttwo\r\n\r\n");
    expect_refused("GET / HTTP/1.1\n" + host + "\r\n");
    expect_refused("GET / HTTP/1.1\r\nHost: h\n\r\n");
    expect_refused("GET / HTTP/1.1\r\nHost: h\r\n\n");
    expect_refused(post + "Content-Length : 3\r\n\r\n");
    expect_refused(post + "Bad Name: 3\r\n\r\n");
    expect_refused(post + "no colon\r\n\r\n");
    expect_refused(post + ": no name\r\n\r\n");
    expect_refused(post + "X: a\rb\r\n\r\n");
    expect_refused(post + std::string("X: a\0b\r\n\r\n", 10));
}

TEST(ParseHead, RefusesBadRequestLinesAndHosts) {
    const std::string host = "Host: h\r\n\r\n";
    for (const char* line :
         {"GET /", "GET  / HTTP/1.1", "GET / HTTP/2.0", "GET / HTTP/1.2", "GET / http/1.1", "G ET / HTTP/1.1",
          "GET a HTTP/1.1", "GET /a b HTTP/1.1", " GET / HTTP/1.1", "GET / HTTP/1.1 ", "\x01 / HTTP/1.1"})
        expect_refused(std::string(line) + "\r\n" + host);
    expect_refused("GET / HTTP/1.1\r\n\r\n");
    expect_refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n");
    expect_refused("GET / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n");
}

TEST(HeadScanner, FindsTheEndHoweverTheBytesArrive) {
    const std::string text = "GET / HTTP/1.1\r\nHost: h\r\n\r\nrest";
    HeadScanner scanner;
    size_t end = 0, at = 0;
    for (; end == 0 && at <= text.size(); ++at) end = scanner.find_end(std::string_view(text).substr(0, at)).value();
    EXPECT_EQ(end, text.size() - 4);
    EXPECT_EQ(at - 1, end);
}

// Decodes with input split into pieces of `step` bytes and output limited to `room`.
Result<std::string> decode(std::string_view text, size_t step, size_t room) {
    ChunkedDecoder decoder;
    std::string buffer, out;
    for (size_t fed = 0; !decoder.finished();) {
        if (fed == text.size()) return invalid_input("cut short");
        const size_t take = std::min(step, text.size() - fed);
        buffer += text.substr(fed, take);
        fed += take;
        while (!buffer.empty() && !decoder.finished()) {
            const auto piece = TRY(decoder.next(buffer, room));
            out += piece.data;
            buffer.erase(0, piece.consumed);
            if (piece.need_more) break;
        }
    }
    return out;
}

TEST(ChunkedDecoder, TakesFramingExtensionsAndTrailersOff) {
    const std::string text = "4;ext=\"a;b\"\r\nWiki\r\n6\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\nX-T: v\r\n\r\n";
    for (const size_t step : {size_t{1}, size_t{2}, size_t{7}, text.size()})
        for (const size_t room : {size_t{1}, size_t{5}, size_t{1000}})
            EXPECT_EQ(decode(text, step, room).value(), "Wikipedia in \r\n\r\nchunks.") << step << " " << room;
    EXPECT_EQ(decode("0\r\n\r\n", 1, 10).value(), "");
}

TEST(ChunkedDecoder, RefusesBrokenFraming) {
    for (const char* text :
         {"x\r\n", "-1\r\nabc", "4\r\nWikiX\r\n0\r\n\r\n", "4\nWiki\r\n0\r\n\r\n", "ffffffffffffffff1\r\na",
          "4 \r\nWiki\r\n0\r\n\r\nmore", "0\r\nContent-Length: 4\r\n\r\n", "4\r\nWiki\r\n\r\n0\r\n\r\n"})
        for (const size_t step : {size_t{1}, size_t{100}}) EXPECT_FALSE(decode(text, step, 100).has_value()) << text;
}

TEST(ReasonPhrase, IsKnownForUsualCodesOnly) {
    EXPECT_EQ(reason_phrase(200), "OK");
    EXPECT_EQ(reason_phrase(404), "Not Found");
    EXPECT_EQ(reason_phrase(799), "Unknown");
}

}  // namespace
}  // namespace millwright::net
