// The proxy between a client on its unix socket and peers on loopback. Names are resolved by the test.
#include "net/egress_proxy.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "base/random.h"
#include "net/raw_peer.h"

namespace millwright::net {
namespace {

using testing::RawPeer;

sockaddr_storage address(const std::string& text) {
    sockaddr_storage out{};
    auto& v4 = reinterpret_cast<sockaddr_in&>(out);
    v4.sin_family = AF_INET;
    EXPECT_EQ(inet_pton(AF_INET, text.c_str(), &v4.sin_addr), 1);
    return out;
}

// Accepts connections on loopback and gives each the same treatment.
class Peer {
  public:
    explicit Peer(std::function<void(RawPeer&)> treat)
        : listener_(listen_tcp("127.0.0.1", 0).value()), treat_(std::move(treat)) {
        thread_ = std::jthread([this](std::stop_token stop) { serve(stop); });
    }
    uint16_t port() const { return local_port(listener_.get()); }
    std::string place(const std::string& host = "index.lan") const { return host + ":" + std::to_string(port()); }
    int accepted() const { return accepted_; }

  private:
    void serve(const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            pollfd wait{listener_.get(), POLLIN, 0};
            if (poll(&wait, 1, 20) <= 0) continue;
            Fd client(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (!client) continue;
            ++accepted_;
            RawPeer peer(std::move(client));
            treat_(peer);
        }
    }
    Fd listener_;
    std::function<void(RawPeer&)> treat_;
    std::atomic<int> accepted_ = 0;
    std::jthread thread_;
};

class EgressProxyTest : public ::testing::Test {
  protected:
    void start(EgressRules::Settings rules, const std::function<void(EgressSettings&)>& change = nullptr) {
        path_ = ::testing::TempDir() + "/egress-" + system_random().hex(8);
        EgressSettings settings;
        settings.socket_path = path_;
        settings.rules = std::move(rules);
        settings.resolve = [this](const std::string& host) -> Result<std::vector<sockaddr_storage>> {
            ++resolved_;
            if (host == "nowhere.lan") return Error{ErrorKind::Unavailable, "Name or service not known", ""};
            return std::vector<sockaddr_storage>{address(host == "meta.lan" ? "169.254.169.254" : "127.0.0.1")};
        };
        if (change) change(settings);
        auto started = EgressProxy::start(std::move(settings));
        ASSERT_TRUE(started.has_value()) << started.error().message;
        proxy_ = std::move(*started);
    }
    RawPeer client() { return RawPeer(connect_unix(path_).value()); }
    std::string answer(const std::string& request) {
        RawPeer peer = client();
        // One connection too many is answered and closed before anything was sent.
        std::ignore = peer.send(request);
        return peer.receive_all();
    }
    std::string connect(const std::string& authority) {
        return answer("CONNECT " + authority + " HTTP/1.1\r\nHost: " + authority + "\r\n\r\n");
    }

    std::string path_;
    std::atomic<int> resolved_ = 0;
    std::unique_ptr<EgressProxy> proxy_;
};

TEST_F(EgressProxyTest, TunnelsBothWaysUntilBothHaveFinished) {
    const Peer peer([](RawPeer& connection) {
        connection.receive_until("end");
        connection.send("got " + std::to_string(connection.received.size()));
    });
    start({{peer.place()}, false, 0});
    RawPeer tunnel = client();
    // What the client sends without waiting belongs to the tunnel.
    ASSERT_TRUE(tunnel.send("CONNECT " + peer.place() + " HTTP/1.1\r\nHost: x\r\n\r\nearly "));
    EXPECT_EQ(tunnel.receive_until("\r\n\r\n"), "HTTP/1.1 200 Connection established\r\n\r\n");
    ASSERT_TRUE(tunnel.send(std::string(5'000'000, 'x')));
    ASSERT_TRUE(tunnel.send("end"));
    tunnel.finish_sending();
    EXPECT_TRUE(tunnel.receive_all().ends_with("got 5000009"));
}

TEST_F(EgressProxyTest, FetchesPlainHttpWithoutPassingOnWhatIsForTheProxy) {
    std::string seen;
    const Peer peer([&](RawPeer& connection) {
        seen = connection.receive_until("\r\n\r\n");
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
    });
    start({{peer.place()}, false, 0});
    const std::string got = answer("GET http://" + peer.place() +
                                   "/simple/?a=b HTTP/1.1\r\nHost: other\r\nAccept: text/html\r\nConnection: "
                                   "keep-alive, X-Hop\r\nX-Hop: 1\r\nProxy-Authorization: Basic eDp5\r\n\r\n");
    EXPECT_TRUE(got.ends_with("\r\n\r\nhello")) << got;
    EXPECT_EQ(seen, "GET /simple/?a=b HTTP/1.1\r\nHost: " + peer.place() +
                        "\r\nAccept: text/html\r\nConnection: close\r\n\r\n");
}

TEST_F(EgressProxyTest, RefusesHostsThatAreNotListedAndNamesTheSetting) {
    const Peer peer([](RawPeer&) {});
    start({{"index.example"}, false, 0});
    for (const std::string& host : {peer.place(), std::string("example.org:443"), std::string("index.example:8443")}) {
        const std::string got = connect(host);
        EXPECT_TRUE(got.starts_with("HTTP/1.1 403 ")) << got;
        EXPECT_NE(got.find("[network] allow"), std::string::npos) << got;
    }
    EXPECT_TRUE(answer("GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\n\r\n").starts_with("HTTP/1.1 403 "));
    EXPECT_EQ(peer.accepted(), 0);
    EXPECT_EQ(resolved_, 0);  // what is refused by name leaves no trace in the name service
}

TEST_F(EgressProxyTest, FurtherHostsAreAskedForOnceAtTheFirstRequest) {
    const Peer peer([](RawPeer& connection) { connection.send("hello"); });
    std::atomic<int> asked = 0;
    start({{"index.example"}, false, 0}, [&](EgressSettings& settings) {
        settings.more_allowed = [&] {
            ++asked;
            return std::vector<std::string>{peer.place()};
        };
    });
    EXPECT_EQ(asked, 0);
    EXPECT_TRUE(connect("example.org:443").starts_with("HTTP/1.1 403 "));
    EXPECT_TRUE(connect(peer.place()).ends_with("hello"));
    EXPECT_EQ(asked, 1);
}

TEST_F(EgressProxyTest, AFurtherHostThatCannotBeReadOpensNothing) {
    const Peer peer([](RawPeer&) {});
    start({{"index.example"}, false, 0}, [&](EgressSettings& settings) {
        settings.more_allowed = [&] { return std::vector<std::string>{peer.place(), "not a host"}; };
    });
    EXPECT_TRUE(connect(peer.place()).starts_with("HTTP/1.1 403 "));
    EXPECT_EQ(peer.accepted(), 0);
}

TEST_F(EgressProxyTest, NamesDoNotLeadToPrivateAddresses) {
    const Peer peer([](RawPeer&) {});
    start({{".lan"}, true, 0});
    for (const std::string& place :
         {peer.place(), peer.place("127.0.0.1"), peer.place("[::1]"), peer.place("localhost"), peer.place("0.0.0.0"),
          peer.place("[::ffff:127.0.0.1]"), peer.place("0x7f.1"), peer.place("017700000001"), peer.place("2130706433"),
          peer.place("localhost."), std::string("169.254.169.254:80"), std::string("meta.lan:80")}) {
        const std::string got = connect(place);
        EXPECT_TRUE(got.starts_with("HTTP/1.1 403 ")) << place << ": " << got;
    }
    EXPECT_EQ(peer.accepted(), 0);
}

TEST_F(EgressProxyTest, AnExactEntryOpensAPrivateAddressButNeverOurOwnPort) {
    const Peer peer([](RawPeer& connection) { connection.send("hello"); });
    start({{peer.place(), peer.place("127.0.0.1"), "meta.lan:80"}, false, peer.port()});
    EXPECT_TRUE(connect(peer.place()).starts_with("HTTP/1.1 403 "));
    EXPECT_TRUE(connect(peer.place("127.0.0.1")).starts_with("HTTP/1.1 403 "));
    EXPECT_TRUE(connect("meta.lan:80").starts_with("HTTP/1.1 403 "));
    start({{peer.place(), peer.place("127.0.0.1")}, false, 1});
    EXPECT_TRUE(connect(peer.place()).ends_with("hello"));
    EXPECT_TRUE(connect(peer.place("127.0.0.1")).ends_with("hello"));
}

TEST_F(EgressProxyTest, AnswersWhatItCannotReachOrUnderstand) {
    start({{"nowhere.lan", "closed.lan:1"}, false, 0});
    EXPECT_TRUE(connect("nowhere.lan:443").starts_with("HTTP/1.1 502 "));
    EXPECT_TRUE(connect("closed.lan:1").starts_with("HTTP/1.1 502 "));
    EXPECT_TRUE(answer("GET / HTTP/1.1\r\nHost: nowhere.lan\r\n\r\n").starts_with("HTTP/1.1 400 "));
    EXPECT_TRUE(answer("GET https://nowhere.lan/ HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 400 "));
    EXPECT_TRUE(answer("PUT http://nowhere.lan/ HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 405 "));
    EXPECT_TRUE(answer("nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    EXPECT_TRUE(
        answer("GET http://nowhere.lan/" + std::string(9000, 'a') + " HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 431 "));
}

TEST_F(EgressProxyTest, SlowAndIdleClientsAreCut) {
    const Peer peer([](RawPeer& connection) { connection.receive_all(); });
    const EgressRules::Settings rules{{peer.place()}, false, 0};
    constexpr std::chrono::milliseconds kSoon(200);
    start(rules, [&](EgressSettings& settings) { settings.header_deadline = kSoon; });
    EXPECT_TRUE(answer("CONNECT ").starts_with("HTTP/1.1 408 "));
    start(rules, [&](EgressSettings& settings) { settings.idle_deadline = kSoon; });
    RawPeer idle = client();
    ASSERT_TRUE(idle.send("CONNECT " + peer.place() + " HTTP/1.1\r\nHost: x\r\n\r\n"));
    idle.receive_all();
    EXPECT_TRUE(idle.closed);
}

TEST_F(EgressProxyTest, BoundsConnectionsOfOneRunAndEndsWithThemOpen) {
    start({{"x"}, false, 0}, [](EgressSettings& settings) { settings.max_connections_per_peer = 3; });
    std::vector<RawPeer> open;
    for (int i = 0; i < 3; ++i) open.push_back(client());
    EXPECT_TRUE(client().receive_all().starts_with("HTTP/1.1 503 "));
    open.pop_back();
    std::string got;
    // The proxy learns of the closed connection in its own time.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!got.starts_with("HTTP/1.1 403 ") && std::chrono::steady_clock::now() < deadline) {
        got = connect("example.org:443");
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    EXPECT_TRUE(got.starts_with("HTTP/1.1 403 "));
    struct stat status {};
    ASSERT_EQ(stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    const auto before = std::chrono::steady_clock::now();
    proxy_.reset();
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(2));
    EXPECT_NE(stat(path_.c_str(), &status), 0);
}

}  // namespace
}  // namespace millwright::net
