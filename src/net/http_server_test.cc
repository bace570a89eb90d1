#include "net/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "net/http_client.h"
#include "net/raw_peer.h"

namespace millwright::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::count;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::RawPeer;
using ::testing::StartsWith;

constexpr std::string_view kPlainGet = "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n";

std::string post(std::string_view path, std::string_view body, std::string_view more_fields = "") {
    return "POST " + std::string(path) + " HTTP/1.1\r\nHost: h\r\n" + std::string(more_fields) +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

Fd temporary_file(std::string_view content) {
    char name[] = "/tmp/http_server_test_XXXXXX";
    Fd fd(mkstemp(name));
    unlink(name);
    EXPECT_TRUE(write_all(fd.get(), content).has_value());
    return fd;
}

// Until what waits is let go; a test that forgets it goes on all the same.
struct Gate {
    std::atomic<int> inside{0};
    std::atomic<bool> open{false};

    void wait() {
        ++inside;
        for (int i = 0; i < 20'000 && !open; ++i) std::this_thread::sleep_for(milliseconds(1));
    }
    bool holds(int count) const {
        for (int i = 0; i < 20'000 && inside != count; ++i) std::this_thread::sleep_for(milliseconds(1));
        return inside == count;
    }
} gate;

// What the tests ask for, by path.
void handle(Request& request, ResponseWriter& writer) {
    const std::string_view path = request.raw_path();
    if (path == "/echo") {
        const auto body = read_all(*request.body, 64 << 20);
        if (body)
            std::ignore = writer.send(200, {{"X-Method", request.method}}, *body);
        else
            std::ignore =
                writer.send(body.error().kind == ErrorKind::Unavailable ? 408 : 400, {}, body.error().message);
    } else if (path == "/ignore") {
        std::ignore = writer.send(403, {}, "denied");
    } else if (path == "/chunks") {
        std::ignore = writer.start(200, {{"Content-Type", "text/plain"}});
        for (const char* piece : {"one", "", "two", "three"}) std::ignore = writer.write(piece);
        std::ignore = writer.finish();
    } else if (path == "/unfinished") {
        std::ignore = writer.start(200, {});
        std::ignore = writer.write("half");
    } else if (path == "/throw") {
        throw std::runtime_error("boom");
    } else if (path == "/split") {
        std::ignore = writer.send(200, {{"X-A", "a\r\nX-Forged: b"}}, "");
    } else if (path == "/twice") {
        std::ignore = writer.send(200, {}, "first");
        EXPECT_FALSE(writer.send(200, {}, "second").has_value());
    } else if (path == "/head") {
        std::ignore = writer.send_headers_only(200, {}, 12345);
    } else if (path == "/file") {
        const Fd file = temporary_file(std::string(100, 'a') + std::string(3'000'000, 'b') + "tail");
        std::ignore = writer.send_file(206, {}, file.get(), 100, 3'000'000);
    } else if (path == "/hold") {
        gate.wait();
        std::ignore = writer.send(200, {}, "held");
    } else if (path == "/sleep") {
        ++gate.inside;
        std::this_thread::sleep_for(milliseconds(300));
        std::ignore = writer.send(200, {}, "slept");
    } else if (path == "/nothing") {
        std::ignore = writer.send(204, {}, "");
    } else if (path != "/silent") {
        std::ignore = writer.send(200, {}, "hi");
    }
}

class HttpServerTest : public ::testing::Test {
  protected:
    HttpServerTest() {
        gate.inside = 0;
        gate.open = false;
        settings_.port = 0;
        settings_.control_threads = 4;
        settings_.data_threads = settings_.inference_threads = 2;
    }
    void start() {
        const auto choose = [](const Request& request) {
            const std::string pool = request.headers.get("X-Pool");
            return pool == "data" ? Pool::Data : pool == "inference" ? Pool::Inference : Pool::Control;
        };
        auto server = HttpServer::start(settings_, choose, handle);
        ASSERT_TRUE(server.has_value());
        server_ = std::move(*server);
    }
    RawPeer connect() { return RawPeer(server_->port()); }
    // The whole answer to bytes after which the server closes.
    std::string closing_answer(std::string_view bytes) {
        RawPeer peer = connect();
        peer.send(bytes);
        return peer.receive_all();
    }

    ServerSettings settings_;
    std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersManyRequestsOnOneConnection) {
    start();
    RawPeer peer = connect();
    for (int i = 0; i < 100; ++i) {
        peer.received.clear();
        peer.send(kPlainGet);
        peer.receive_until("\r\n\r\nhi");
        ASSERT_THAT(peer.received, StartsWith("HTTP/1.1 200 OK\r\nDate: "));
        ASSERT_THAT(peer.received, HasSubstr("\r\nContent-Length: 2\r\n\r\nhi"));
    }
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
    start();
    RawPeer peer = connect();
    std::string all;
    for (int i = 0; i < 300; ++i) all += post("/echo", "<" + std::to_string(i) + ">", i % 3 ? "X-Pool: data\r\n" : "");
    peer.send(all);
    peer.receive_until("<299>");
    size_t at = 0;
    for (int i = 0; i < 300; ++i) {
        at = peer.received.find("<" + std::to_string(i) + ">", at);
        ASSERT_NE(at, std::string::npos) << i;
    }
    EXPECT_EQ(count(peer.received, "HTTP/1.1 200 OK"), 300u);
}

TEST_F(HttpServerTest, AcceptsARequestByteByByte) {
    start();
    RawPeer peer = connect();
    for (const char c : "\r\n" + post("/echo", "body")) {
        peer.send({&c, 1});
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    EXPECT_THAT(peer.receive_until("body"), HasSubstr("200 OK"));
}

TEST_F(HttpServerTest, MovesAConnectionBetweenPools) {
    start();
    RawPeer peer = connect();
    for (const char* pool : {"data", "inference", "control", "data", "data"}) {
        peer.received.clear();
        peer.send(post("/echo", "in " + std::string(pool), "X-Pool: " + std::string(pool) + "\r\n"));
        EXPECT_THAT(peer.receive_until("in "), HasSubstr(pool));
    }
}

TEST_F(HttpServerTest, ABusyPoolDoesNotStopAnother) {
    settings_.inference_threads = 1;
    start();
    std::vector<RawPeer> sleepers;
    for (int i = 0; i < 3; ++i) {
        sleepers.push_back(connect());
        sleepers.back().send("GET /hold HTTP/1.1\r\nHost: h\r\nX-Pool: inference\r\n\r\n");
    }
    EXPECT_TRUE(gate.holds(1));
    RawPeer peer = connect();
    peer.send(kPlainGet);
    EXPECT_THAT(peer.receive_until("hi"), HasSubstr("hi"));
    gate.open = true;
    for (RawPeer& sleeper : sleepers) EXPECT_THAT(sleeper.receive_until("held"), HasSubstr("held"));
}

// Handlers that wait without saying so: of many workers few are awake, but more as they are missed.
TEST_F(HttpServerTest, HandlersThatAreStuckAreNoticed) {
    settings_.control_threads = 32;
    start();
    std::vector<RawPeer> sleepers;
    const auto began = steady_clock::now();
    for (int i = 0; i < 20; ++i) {
        sleepers.push_back(connect());
        sleepers.back().send("GET /sleep HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    for (RawPeer& sleeper : sleepers) EXPECT_THAT(sleeper.receive_until("slept"), HasSubstr("slept"));
    // One after the other on two processors it would be three seconds. A busy machine is slow for other reasons.
    if (steady_clock::now() - began >= milliseconds(2000)) {
        gate.inside = 0;
        for (RawPeer& sleeper : sleepers) sleeper.send("GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
        EXPECT_TRUE(gate.holds(20)) << "all at once";
        gate.open = true;
        for (RawPeer& sleeper : sleepers) EXPECT_THAT(sleeper.receive_until("held"), HasSubstr("held"));
    }
}

// One worker, and clients that take or give their bodies slowly: others are served meanwhile.
TEST_F(HttpServerTest, SlowClientsKeepNoWorkerFromOthers) {
    settings_.control_threads = 1;
    start();
    std::vector<RawPeer> slow;
    for (int i = 0; i < 6; ++i) {
        slow.push_back(connect());
        if (i % 2 == 0)
            slow.back().send("GET /file HTTP/1.1\r\nHost: h\r\n\r\n");  // and reads nothing of its 3 MB
        else
            slow.back().send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nbegin");
    }
    std::this_thread::sleep_for(milliseconds(50));
    for (int i = 0; i < 20; ++i) {
        RawPeer peer = connect();
        const auto began = steady_clock::now();
        peer.send(kPlainGet);
        EXPECT_THAT(peer.receive_until("hi"), HasSubstr("hi"));
        EXPECT_LT(steady_clock::now() - began, milliseconds(4000));
    }
    for (size_t i = 1; i < slow.size(); i += 2) {
        slow[i].send(std::string(100000 - 5, 'x'));
        EXPECT_THAT(slow[i].receive_until("xx"), HasSubstr("200 OK"));
    }
}

// Without anything that could become a request nobody waits for the deadline.
TEST_F(HttpServerTest, RefusesAtOnceWhatIsNoHttp) {
    settings_.header_deadline = milliseconds(60'000);
    start();
    const auto began = steady_clock::now();
    for (const std::string bytes : {"\x16\x03\x01", "\x80\x2e\x01", "\n", " GET / HTTP/1.1", "{}", "\x05\x01"})
        EXPECT_THAT(closing_answer(bytes), StartsWith("HTTP/1.1 400 ")) << bytes;
    EXPECT_THAT(closing_answer("\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
    EXPECT_LT(steady_clock::now() - began, milliseconds(30'000));
}

TEST_F(HttpServerTest, ReadsAndWritesChunkedBodies) {
    start();
    RawPeer peer = connect();
    peer.send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    peer.send("4;x=y\r\ndefg\r\n0\r\nX-Trailer: t\r\n\r\n");
    EXPECT_THAT(peer.receive_until("abcdefg"), HasSubstr("Content-Length: 7\r\n"));
    peer.received.clear();
    peer.send("GET /chunks HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_THAT(peer.receive_until("0\r\n\r\n"),
                HasSubstr("Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"));
    peer.received.clear();
    peer.send(kPlainGet);
    EXPECT_THAT(peer.receive_until("hi"), HasSubstr("200 OK"));
}

TEST_F(HttpServerTest, EndsAChunkedBodyForHttp10WithTheConnection) {
    start();
    const std::string answer = closing_answer("GET /chunks HTTP/1.0\r\n\r\n");
    EXPECT_THAT(answer, Not(HasSubstr("chunked")));
    EXPECT_THAT(answer, HasSubstr("\r\n\r\nonetwothree"));
}

TEST_F(HttpServerTest, StreamsLargeBodiesBothWays) {
    start();
    std::string body(20 << 20, ' ');
    for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 2654435761u >> 13);
    const auto client = HttpClient::tcp("127.0.0.1", server_->port());
    const auto answer = client->call("POST", "/echo", {{"X-Pool", "data"}}, body, milliseconds(20000));
    ASSERT_TRUE(answer.has_value()) << answer.error().message;
    EXPECT_TRUE(answer->body == body);
}

TEST_F(HttpServerTest, SendsContinueOnlyWhenTheBodyIsRead) {
    start();
    RawPeer peer = connect();
    peer.send("POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    EXPECT_EQ(peer.receive_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    peer.send("hello");
    EXPECT_THAT(peer.receive_until("hello"), HasSubstr("HTTP/1.1 200 OK"));

    RawPeer refused = connect();
    refused.send("POST /ignore HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    const std::string answer = refused.receive_all();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 403 Forbidden\r\n"));
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
}

TEST_F(HttpServerTest, WhoAsksForContinueGetsItAlsoWhenTheBodyIsThere) {
    start();
    RawPeer peer = connect();
    const std::string head = "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n";
    const std::string both = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n";
    for (const char* rest : {"Content-Length: 5\r\n\r\nhello", "Content-Length: 0\r\n\r\n", "\r\n",
                             "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"}) {
        peer.received.clear();
        peer.send(head + rest);
        peer.receive_until("\r\n\r\nHTTP/1.1 200 OK\r\n");
        EXPECT_THAT(
            peer.receive_until(std::string(rest).find("hello") == std::string::npos ? "Length: 0\r\n\r\n" : "hello"),
            StartsWith(both));
    }
    peer.received.clear();
    // Nobody read it, so nobody may take the rest of the connection for a request.
    peer.send("POST /ignore HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello");
    const std::string answer = peer.receive_all();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 403 Forbidden\r\n"));
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
}

TEST_F(HttpServerTest, ReportsABodyThatIsCutShort) {
    start();
    for (const std::string& request :
         {post("/echo", std::string(100'000, 'x')).substr(0, 60'000),
          post("/echo", "abc").substr(0, post("/echo", "abc").size() - 1),
          std::string("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")}) {
        RawPeer peer = connect();
        peer.send(request);
        peer.finish_sending();
        const std::string answer = peer.receive_all();
        EXPECT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 400 ")) << answer;
        EXPECT_TRUE(peer.closed);
    }
}

TEST_F(HttpServerTest, DropsAnUnreadBodyAndGoesOn) {
    start();
    RawPeer peer = connect();
    peer.send(post("/ignore", std::string(500'000, 'x')) + std::string(kPlainGet));
    EXPECT_THAT(peer.receive_until("\r\n\r\nhi"), HasSubstr("denied"));
    EXPECT_THAT(peer.received, HasSubstr("200 OK"));
}

TEST_F(HttpServerTest, ClosesAfterALargeUnreadBodyButDeliversTheAnswer) {
    start();
    const std::string answer = closing_answer(post("/ignore", std::string(8 << 20, 'x')));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 403 Forbidden\r\n"));
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
    EXPECT_THAT(answer, HasSubstr("denied"));
}

TEST_F(HttpServerTest, CutsSlowHeadsWithoutHoldingWorkers) {
    settings_.header_deadline = milliseconds(1000);  // enough for one that is quick on a busy machine
    settings_.control_threads = 2;
    start();
    std::vector<RawPeer> slow;
    for (int i = 0; i < 20; ++i) {
        slow.push_back(connect());
        slow.back().send("GET / HTTP/1.1\r\nHo");
    }
    RawPeer quick = connect();
    quick.send(kPlainGet);
    EXPECT_THAT(quick.receive_until("hi"), HasSubstr("200 OK"));
    const auto began = steady_clock::now();
    for (RawPeer& peer : slow) EXPECT_EQ(peer.receive_all(), "");
    EXPECT_LT(steady_clock::now() - began, milliseconds(10'000));
    // A byte now and then does not help.
    RawPeer trickle = connect();
    const auto started = steady_clock::now();
    while (trickle.send("X") && steady_clock::now() - started < milliseconds(15'000))
        std::this_thread::sleep_for(milliseconds(20));
    EXPECT_LT(steady_clock::now() - started, milliseconds(10'000));
}

TEST_F(HttpServerTest, CutsSlowBodies) {
    settings_.body_idle_deadline = milliseconds(150);
    start();
    RawPeer small = connect(), large = connect();
    small.send(post("/echo", std::string(100, 'x')).substr(0, 100));
    large.send(post("/echo", std::string(100'000, 'x')).substr(0, 1000));
    EXPECT_EQ(small.receive_all(), "");
    EXPECT_THAT(large.receive_all(), StartsWith("HTTP/1.1 408 "));
}

TEST_F(HttpServerTest, ClosesIdleConnections) {
    settings_.keep_alive = milliseconds(100);
    start();
    RawPeer peer = connect();
    const auto began = steady_clock::now();
    peer.send(kPlainGet);
    EXPECT_THAT(peer.receive_all(), HasSubstr("hi"));
    EXPECT_GT(steady_clock::now() - began, milliseconds(90));
}

TEST_F(HttpServerTest, RefusesAmbiguousAndBrokenHeads) {
    start();
    for (const char* fields : {"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "Content-Length: x\r\n",
                               "A: b\r\n c\r\n", "A b\r\n"}) {
        const std::string answer =
            closing_answer("POST /echo HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\nabc");
        EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 Bad Request\r\n")) << fields;
        EXPECT_EQ(count(answer, "HTTP/1.1 "), 1u + count(answer, "an HTTP/1.1 message"));
    }
    EXPECT_THAT(closing_answer("\x16\x03\x01\x02hello\n"), StartsWith("HTTP/1.1 400 "));
}

TEST_F(HttpServerTest, RefusesHeadsThatAreTooLarge) {
    settings_.max_header_bytes = 4096;
    start();
    const std::string fits = "GET /hello HTTP/1.1\r\nHost: h\r\nX: " + std::string(4000, 'x') + "\r\n\r\n";
    RawPeer peer = connect();
    peer.send(fits);
    EXPECT_THAT(peer.receive_until("hi"), HasSubstr("200 OK"));
    const std::string large = "GET /hello HTTP/1.1\r\nHost: h\r\nX: " + std::string(200'000, 'x') + "\r\n\r\n";
    EXPECT_THAT(closing_answer(large), StartsWith("HTTP/1.1 431 "));
}

TEST_F(HttpServerTest, RefusesConnectionsBeyondTheLimit) {
    settings_.max_connections = 3;
    start();
    std::vector<RawPeer> peers;
    for (int i = 0; i < 3; ++i) {
        peers.push_back(connect());
        peers.back().send(kPlainGet);
        peers.back().receive_until("hi");
    }
    RawPeer fourth = connect();
    EXPECT_THAT(fourth.receive_all(), StartsWith("HTTP/1.1 503 "));
    peers.pop_back();
    std::string got;
    // The server learns of the closed connection in its own time.
    const auto deadline = steady_clock::now() + std::chrono::seconds(10);
    while (got.find("200 OK") == std::string::npos && steady_clock::now() < deadline) {
        RawPeer next = connect();
        next.send(kPlainGet);
        got = next.receive_until("hi");
    }
    EXPECT_THAT(got, HasSubstr("200 OK"));
}

TEST_F(HttpServerTest, AnswersHeadWithoutABody) {
    start();
    RawPeer peer = connect();
    peer.send("HEAD /head HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_THAT(peer.receive_until("\r\n\r\n"), HasSubstr("Content-Length: 12345\r\n"));
    for (const char* path : {"/hello", "/file", "/chunks", "/nothing"})
        peer.send("HEAD " + std::string(path) + " HTTP/1.1\r\nHost: h\r\n\r\n");
    peer.send("GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    const std::string all = peer.receive_all();
    EXPECT_EQ(count(all, "HTTP/1.1 2"), 6u);
    EXPECT_EQ(count(all, "hi"), 1u);
    EXPECT_THAT(all, Not(HasSubstr("bbb")));
    EXPECT_THAT(all, Not(HasSubstr("one")));
    EXPECT_THAT(all, HasSubstr("HTTP/1.1 204 No Content\r\nDate: "));
}

TEST_F(HttpServerTest, SendsPartsOfFiles) {
    start();
    const std::string answer = closing_answer("GET /file HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 206 Partial Content\r\n"));
    EXPECT_TRUE(answer.ends_with("\r\n\r\n" + std::string(3'000'000, 'b')));
}

TEST_F(HttpServerTest, SurvivesAClientThatLeavesWhileAFileIsSent) {
    start();
    for (int i = 0; i < 5; ++i) {
        RawPeer peer = connect();
        peer.send("GET /file HTTP/1.1\r\nHost: h\r\n\r\n");
        peer.receive_more();
    }
    RawPeer peer = connect();
    peer.send(kPlainGet);
    EXPECT_THAT(peer.receive_until("hi"), HasSubstr("200 OK"));
}

TEST_F(HttpServerTest, AnswersForHandlersThatFail) {
    start();
    for (const char* path : {"/silent", "/throw", "/split"}) {
        RawPeer peer = connect();
        peer.send("GET " + std::string(path) + " HTTP/1.1\r\nHost: h\r\n\r\n");
        EXPECT_THAT(peer.receive_until("\r\n\r\n"), StartsWith("HTTP/1.1 500 Internal Server Error\r\n")) << path;
        EXPECT_THAT(peer.received, Not(HasSubstr("Forged")));
    }
    EXPECT_EQ(count(closing_answer("GET /twice HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), "HTTP/1.1"), 1u);
    const std::string half = closing_answer("GET /unfinished HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_THAT(half, HasSubstr("4\r\nhalf\r\n"));
    EXPECT_THAT(half, Not(HasSubstr("0\r\n\r\n")));
}

TEST_F(HttpServerTest, StopsQuicklyWithOpenConnectionsAndFinishesRunningRequests) {
    settings_.body_idle_deadline = settings_.keep_alive = milliseconds(60'000);
    start();
    RawPeer idle = connect(), partial = connect(), uploading = connect(), sleeping = connect();
    partial.send("GET / HT");
    uploading.send(post("/echo", std::string(100'000, 'x')).substr(0, 50'000));
    sleeping.send("GET /sleep HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(gate.holds(1));
    const auto began = steady_clock::now();
    server_.reset();
    EXPECT_LT(steady_clock::now() - began, milliseconds(10'000)) << "of a minute";
    EXPECT_THAT(sleeping.receive_all(), HasSubstr("slept"));
    EXPECT_EQ(idle.receive_all() + partial.receive_all(), "");
}

TEST_F(HttpServerTest, StartFailsClearlyWhenThePortIsTaken) {
    start();
    ServerSettings same = settings_;
    same.port = server_->port();
    const auto second = HttpServer::start(
        same, [](const Request&) { return Pool::Control; }, handle);
    ASSERT_FALSE(second.has_value());
    EXPECT_THAT(second.error().message, HasSubstr("cannot listen on 127.0.0.1:" + std::to_string(same.port)));
    same.address = "example.com";
    EXPECT_FALSE(HttpServer::start(
                     same, [](const Request&) { return Pool::Control; }, handle)
                     .has_value());
}

TEST_F(HttpServerTest, ServesManyConnectionsFromManyThreads) {
    start();
    std::atomic<int> good{0};
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 8; ++t)
            threads.emplace_back([&, t] {
                const auto client = HttpClient::tcp("127.0.0.1", server_->port());
                for (int i = 0; i < 200; ++i) {
                    const std::string body = std::to_string(t) + "-" + std::to_string(i);
                    const Headers headers{{"X-Pool", i % 2 ? "data" : "control"}};
                    const auto answer = client->call("POST", "/echo", headers, body, milliseconds(5000));
                    good += answer && answer->body == body;
                }
            });
    }
    EXPECT_EQ(good, 1600);
}

}  // namespace
}  // namespace millwright::net
