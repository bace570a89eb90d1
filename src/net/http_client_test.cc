#include "net/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <thread>

#include "net/http_server.h"
#include "net/raw_peer.h"

namespace millwright::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using ::testing::HasSubstr;
using testing::RawPeer;

// Accepts connections one after another and lets a script talk on each.
class ScriptedServer {
  public:
    explicit ScriptedServer(std::vector<std::function<void(RawPeer&)>> scripts)
        : listener_(listen_tcp("127.0.0.1", 0).value()), port_(local_port(listener_.get())) {
        thread_ = std::jthread([this, scripts = std::move(scripts)] {
            for (const auto& script : scripts) {
                pollfd entry{listener_.get(), POLLIN, 0};
                if (::poll(&entry, 1, 5000) != 1) return;
                RawPeer peer(Fd(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)));
                script(peer);
            }
        });
    }
    uint16_t port() const { return port_; }

  private:
    Fd listener_;
    uint16_t port_;
    std::jthread thread_;
};

void answer(RawPeer& peer, std::string_view text) {
    peer.received.clear();
    peer.receive_until("\r\n\r\n");
    peer.send(text);
}

TEST(HttpClient, ReadsEveryKindOfFraming) {
    ScriptedServer server({[](RawPeer& peer) {
        answer(peer, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: b\r\n\r\nabc");
        answer(peer,
               "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nTransfer-Encoding: "
               "chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n");
        answer(peer, "HTTP/1.1 204 No Content\r\n\r\n");
        answer(peer, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
        answer(peer, "HTTP/1.0 200 OK\r\n\r\nuntil the end");
    }});
    const auto client = HttpClient::tcp("127.0.0.1", server.port());
    const auto call = [&](std::string_view method) {
        return client->call(method, "/", {}, "", milliseconds(3000)).value();
    };
    const auto first = call("GET");
    EXPECT_EQ(first.status, 200);
    EXPECT_EQ(first.body, "abc");
    EXPECT_EQ(first.headers.get("x-a"), "b");
    const auto second = call("GET");
    EXPECT_EQ(second.status, 404);
    EXPECT_EQ(second.body, "de");
    EXPECT_EQ(call("POST").status, 204);
    EXPECT_EQ(call("HEAD").body, "");
    EXPECT_EQ(call("GET").body, "until the end");
}

TEST(HttpClient, RetriesAStaleConnectionOnceOnAFreshOne) {
    ScriptedServer server({[](RawPeer& peer) {
                               answer(peer, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
                               // Closed with the next request already under way.
                               peer.received.clear();
                               peer.receive_until("\r\n\r\n");
                           },
                           [](RawPeer& peer) { answer(peer, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"); }});
    const auto client = HttpClient::tcp("127.0.0.1", server.port());
    EXPECT_EQ(client->call("GET", "/", {}, "", milliseconds(3000)).value().body, "1");
    EXPECT_EQ(client->call("GET", "/", {}, "", milliseconds(3000)).value().body, "2");
}

TEST(HttpClient, DoesNotRetryAFreshConnection) {
    ScriptedServer server({[](RawPeer& peer) { peer.receive_until("\r\n\r\n"); }});
    const auto client = HttpClient::tcp("127.0.0.1", server.port());
    const auto result = client->call("GET", "/", {}, "", milliseconds(3000));
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().kind, ErrorKind::Unavailable);
    EXPECT_NE(result.error().detail, "timeout");
}

TEST(HttpClient, TimesOutAsAWhole) {
    ScriptedServer server({[](RawPeer& peer) {
        peer.receive_until("\r\n\r\n");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while (peer.send("x")) std::this_thread::sleep_for(milliseconds(30));
    }});
    const auto client = HttpClient::tcp("127.0.0.1", server.port());
    const auto began = steady_clock::now();
    const auto result = client->call("GET", "/", {}, "", milliseconds(200));
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().detail, "timeout");
    EXPECT_LT(steady_clock::now() - began, milliseconds(10'000)) << "of some thirty seconds";
}

TEST(HttpClient, RefusesLargeAnswersAndBrokenOnes) {
    for (const auto& [text, kind] : std::vector<std::pair<std::string, ErrorKind>>{
             {"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", ErrorKind::LimitExceeded},
             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + std::string(1000, 'x'),
              ErrorKind::LimitExceeded},
             {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", ErrorKind::InvalidInput},
             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ErrorKind::InvalidInput},
             {"SSH-2.0-OpenSSH\r\n\r\n", ErrorKind::InvalidInput}}) {
        ScriptedServer server({[&](RawPeer& peer) { answer(peer, text); }});
        const auto client = HttpClient::tcp("127.0.0.1", server.port());
        const auto result = client->call("GET", "/", {}, "", milliseconds(3000), 100);
        ASSERT_FALSE(result.has_value()) << text.substr(0, 60);
        EXPECT_EQ(result.error().kind, kind) << result.error().message;
    }
}

TEST(HttpClient, ReadsTheAnswerOfAPeerThatRefusesABodyEarly) {
    ScriptedServer server({[](RawPeer& peer) {
        answer(peer, "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
        std::this_thread::sleep_for(milliseconds(50));
    }});
    const auto client = HttpClient::tcp("127.0.0.1", server.port());
    const auto result = client->call("POST", "/", {}, std::string(2000, 'x'), milliseconds(3000));
    ASSERT_TRUE(result.has_value());
    EXPECT_EQ(result->status, 413);
}

TEST(HttpClient, NeverWritesLineBreaksIntoARequest) {
    const auto client = HttpClient::tcp("127.0.0.1", 1);
    for (const char* target : {"/a b", "/a\r\nX: y", ""})
        EXPECT_EQ(client->call("GET", target, {}, "", milliseconds(100)).error().kind, ErrorKind::InvalidInput);
    EXPECT_EQ(client->call("GET", "/", {{"X", "a\nb"}}, "", milliseconds(100)).error().kind, ErrorKind::InvalidInput);
    EXPECT_EQ(client->call("GET", "/", {{"X Y", "a"}}, "", milliseconds(100)).error().kind, ErrorKind::InvalidInput);
}

TEST(HttpClient, SaysUnavailableWhenNobodyListens) {
    uint16_t port;
    {
        const Fd closed = listen_tcp("127.0.0.1", 0).value();
        port = local_port(closed.get());
    }
    EXPECT_EQ(HttpClient::tcp("127.0.0.1", port)->call("GET", "/", {}, "", milliseconds(500)).error().kind,
              ErrorKind::Unavailable);
    EXPECT_EQ(HttpClient::unix_socket("/nonexistent/socket")->call("GET", "/", {}, "", milliseconds(500)).error().kind,
              ErrorKind::Unavailable);
}

TEST(HttpClient, ReachesUnixSocketsWithLongPaths) {
    char name[] = "/tmp/http_client_test_XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    const std::string folder = std::string(name) + "/" + std::string(120, 'd') + "/" + std::string(60, 'e');
    ASSERT_TRUE(make_directories(folder).has_value());
    for (const std::string& path : {std::string(name) + "/short", folder + "/socket"}) {
        ServerSettings settings;
        settings.unix_path = path;
        settings.control_threads = settings.data_threads = settings.inference_threads = 1;
        auto server = HttpServer::start(
            settings, [](const Request&) { return Pool::Control; },
            [](Request& request, ResponseWriter& writer) {
                std::ignore = writer.send(200, {}, request.peer + request.target);
            });
        ASSERT_TRUE(server.has_value()) << server.error().message << server.error().detail;
        struct stat status {};
        ASSERT_EQ(lstat(path.c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0077, 0u);
        const auto client = HttpClient::unix_socket(path);
        for (int i = 0; i < 3; ++i)
            EXPECT_EQ(client->call("GET", "/ping", {}, "", milliseconds(2000)).value().body, "unix/ping");
        server->reset();
        EXPECT_FALSE(file_exists(path));
    }
    EXPECT_TRUE(remove_tree(name).has_value());
}

struct Collected final : HttpClient::Receiver {
    bool begin(const ClientResponse& response) override {
        status = response.status;
        return true;
    }
    bool piece(std::string_view bytes) override {
        body += bytes;
        return body.size() < enough;
    }
    int status = 0;
    std::string body;
    size_t enough = 1000;
};

TEST(HttpClient, StreamsAndKeepsTheConnection) {
    ScriptedServer server({[](RawPeer& peer) {
        answer(peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
        answer(peer, "HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nnay");
    }});
    const auto client = HttpClient::tcp("127.0.0.1", server.port());
    Collected first, second;
    EXPECT_TRUE(client->stream("POST", "/", {}, "x", {}, first));
    EXPECT_EQ(first.body, "abc");
    EXPECT_TRUE(client->stream("POST", "/", {}, "x", {}, second));
    EXPECT_EQ(second.status, 500);
    EXPECT_EQ(second.body, "nay");
}

TEST(HttpClient, AStreamEndsByPauseByTheWholeAndByItsReceiver) {
    const auto trickle = [](RawPeer& peer) {
        answer(peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
        for (int i = 0; i < 400 && peer.send("1\r\nc\r\n"); ++i) std::this_thread::sleep_for(milliseconds(50));
    };
    const auto silent = [](RawPeer& peer) {
        answer(peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
        peer.receive_all();
    };
    ScriptedServer server({trickle, silent, silent});
    const auto client = HttpClient::tcp("127.0.0.1", server.port());
    using Patience = HttpClient::Patience;
    Collected whole, pause, enough;
    const auto slow = client->stream("POST", "/", {}, "", Patience{.whole = milliseconds(1000)}, whole);
    ASSERT_FALSE(slow);
    EXPECT_EQ(slow.error().detail, "timeout");
    EXPECT_EQ(whole.body.substr(0, 3), "abc");
    const auto stuck = client->stream("POST", "/", {}, "", Patience{.pause = milliseconds(100)}, pause);
    ASSERT_FALSE(stuck);
    EXPECT_EQ(stuck.error().detail, "timeout");
    enough.enough = 1;
    EXPECT_TRUE(client->stream("POST", "/", {}, "", {}, enough));
    EXPECT_EQ(enough.body, "ab");
}

class Pieces : public HttpClient::Receiver {
  public:
    explicit Pieces(std::function<void()> first) : first_(std::move(first)) {}
    bool begin(const ClientResponse&) override { return true; }
    bool piece(std::string_view) override {
        first_();
        return true;
    }

  private:
    std::function<void()> first_;
};

TEST(HttpClient, EndsAStreamWhenItIsInterrupted) {
    ScriptedServer server({[](RawPeer& peer) {
        answer(peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
        char byte;
        pollfd entry{peer.fd(), POLLIN, 0};
        ::poll(&entry, 1, 10000);
        static_cast<void>(::read(peer.fd(), &byte, 1));
    }});
    const auto client = HttpClient::tcp("127.0.0.1", server.port());
    Interrupt interrupt;
    std::jthread other;
    Pieces pieces([&] { other = std::jthread([&] { interrupt.interrupt(); }); });
    HttpClient::Patience patience;
    patience.interrupt = &interrupt;
    const auto begun = steady_clock::now();
    EXPECT_FALSE(client->stream("GET", "/", {}, "", patience, pieces));
    EXPECT_LT(steady_clock::now() - begun, milliseconds(5000));
    const auto again = client->stream("GET", "/", {}, "", patience, pieces);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().message, "interrupted");
}

}  // namespace
}  // namespace millwright::net
