#include "algorithms/common/serving.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <thread>

#include "base/files.h"

namespace millwright::algorithms {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// Answers with what it was given.
class Echo : public ServedModel {
  public:
    ServeReply invoke(const ServeRequest& request) const override {
        if (request.body == "throw") throw std::runtime_error("surprise");
        if (request.body == "slow") {
            inside = true;
            for (int i = 0; i < 10'000 && !leave; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        if (request.body == "empty") return {204, "", "", {}};
        return {200,
                std::string(request.content_type),
                std::string(request.body) + "|" + std::string(request.accept),
                {{"X-Amzn-SageMaker-Custom-Attributes", std::string(request.custom_attributes)}}};
    }
    mutable std::atomic<bool> inside{false}, leave{false};  // of what is slow
};

class Client {
  public:
    explicit Client(uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        CHECK(connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    }
    void send(std::string_view text) { (void)write_all(socket_.get(), text).has_value(); }
    // Until `text` was seen, the peer closed, or twenty seconds passed.
    std::string receive_until(std::string_view text) {
        std::string seen;
        char buffer[4096];
        pollfd readable{socket_.get(), POLLIN, 0};
        while (seen.find(text) == std::string::npos && poll(&readable, 1, 20'000) == 1) {
            const auto got = read(socket_.get(), buffer, sizeof buffer);
            if (got <= 0) break;
            seen.append(buffer, static_cast<size_t>(got));
        }
        return seen;
    }
    std::string receive_all() { return receive_until("\x01never"); }

  private:
    Fd socket_;
};

class Serving : public ::testing::Test {
  protected:
    Serving() {
        ServeOptions options;
        options.address = "127.0.0.1";
        options.port = 0;
        options.max_body_bytes = 1 << 20;
        auto server = InferenceServer::start(model_, options);
        CHECK(server.has_value());
        server_ = std::move(*server);
    }
    Echo model_;
    std::unique_ptr<InferenceServer> server_;
};

constexpr std::string_view kPost = "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nAccept: a/b\r\n";

std::string post(std::string_view body) {
    return std::string(kPost) + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

TEST_F(Serving, AnswersPingAndExecutionParameters) {
    Client client(server_->port());
    client.send("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(client.receive_until("\r\n\r\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
    client.send("GET /execution-parameters HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(client.receive_until("}"), HasSubstr(R"("BatchStrategy":"MULTI_RECORD","MaxPayloadInMB":6})"));
}

TEST_F(Serving, PassesTheRequestAndKeepsTheConnection) {
    Client client(server_->port());
    for (int i = 0; i < 3; ++i) {
        client.send(post("1,2"));
        const std::string answer = client.receive_until("1,2|a/b");
        EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\n"));
        EXPECT_THAT(answer, HasSubstr("Content-Length: 7\r\n"));
    }
    client.send(std::string(kPost) + "X-Amzn-SageMaker-Custom-Attributes: mine\r\nContent-Length: 1\r\n\r\nx");
    EXPECT_THAT(client.receive_until("x|a/b"), HasSubstr("Custom-Attributes: mine\r\n"));
}

TEST_F(Serving, AnswersPipelinedAndDribbledRequests) {
    Client client(server_->port());
    client.send(post("first") + post("second"));
    EXPECT_THAT(client.receive_until("second|"), HasSubstr("first|a/b"));
    for (const char c : post("slowly")) client.send(std::string_view(&c, 1));
    EXPECT_THAT(client.receive_until("slowly|"), HasSubstr("200 OK"));
}

TEST_F(Serving, TakesChunkedBodiesAndExpectContinue) {
    Client client(server_->port());
    client.send(std::string(kPost) + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    EXPECT_THAT(client.receive_until("abcde|"), HasSubstr("abcde|a/b"));
    client.send(std::string(kPost) + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    EXPECT_EQ(client.receive_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("ok");
    EXPECT_THAT(client.receive_until("ok|"), HasSubstr("200 OK"));
}

TEST_F(Serving, UnknownPathsAndMethodsAreRefused) {
    Client client(server_->port());
    client.send("GET /models HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(client.receive_until("\r\n\r\nNot Found"), StartsWith("HTTP/1.1 404 Not Found"));
    client.send("GET /invocations HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::string answer = client.receive_until("\r\n\r\nMethod Not Allowed");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 405 Method Not Allowed"));
    EXPECT_THAT(answer, HasSubstr("Allow: POST\r\n"));
}

TEST_F(Serving, RefusesBodiesOverTheLimitAndRubbish) {
    {
        Client client(server_->port());
        client.send(post(std::string(3 << 20, 'x')));
        EXPECT_THAT(client.receive_all(), StartsWith("HTTP/1.1 413 "));
    }
    {
        Client client(server_->port());
        client.send("this is not HTTP\r\n\r\n");
        EXPECT_THAT(client.receive_all(), StartsWith("HTTP/1.1 400 "));
    }
    Client client(server_->port());
    client.send("GET /ping HTTP/1.1\r\nX: " + std::string(100000, 'a'));
    EXPECT_THAT(client.receive_all(), StartsWith("HTTP/1.1 431 "));
}

TEST_F(Serving, ASurpriseInTheModelIsA500) {
    Client client(server_->port());
    client.send(post("throw"));
    EXPECT_THAT(client.receive_until("\r\n\r\nInternal Server Error"), StartsWith("HTTP/1.1 500 "));
    client.send(post("empty"));
    EXPECT_THAT(client.receive_until("\r\n\r\n"), StartsWith("HTTP/1.1 204 No Content\r\n"));
}

TEST_F(Serving, ASlowInvocationDoesNotHoldUpPing) {
    Client busy(server_->port());
    Client other(server_->port());
    busy.send(post("slow"));
    for (int i = 0; i < 10'000 && !model_.inside; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ASSERT_TRUE(model_.inside);
    const auto before = std::chrono::steady_clock::now();
    other.send("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(other.receive_until("\r\n\r\n"), HasSubstr("200 OK"));
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(10)) << "it is still busy";
    model_.leave = true;
    EXPECT_THAT(busy.receive_until("slow|"), HasSubstr("200 OK"));
}

TEST_F(Serving, LargeAnswersReachASlowReader) {
    Client client(server_->port());
    const std::string body(1 << 20, '#');
    for (int i = 0; i < 4; ++i) client.send(post(body));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    size_t seen = 0;
    for (int i = 0; i < 4; ++i) {
        const std::string answer = client.receive_until("|a/b");
        seen += static_cast<size_t>(std::count(answer.begin(), answer.end(), '#'));
        if (seen >= 4 * body.size()) break;
    }
    EXPECT_EQ(seen, 4 * body.size());
}

TEST_F(Serving, ManyConnectionsAtOnce) {
    std::vector<std::jthread> threads;
    std::atomic<int> good{0};
    for (int thread = 0; thread < 8; ++thread)
        threads.emplace_back([&] {
            Client client(server_->port());
            for (int i = 0; i < 50; ++i) {
                client.send(post("n"));
                good += client.receive_until("n|a/b").find("200 OK") != std::string::npos ? 1 : 0;
            }
        });
    threads.clear();
    EXPECT_EQ(good, 400);
}

TEST(ServingSocket, ListensOnAUnixSocketWithALongPath) {
    const auto folder =
        std::filesystem::temp_directory_path() / ("serving_test." + std::to_string(getpid())) / std::string(100, 'd');
    ASSERT_TRUE(make_directories(folder.string()));
    Echo model;
    ServeOptions options;
    options.unix_socket = (folder / "model.sock").string();
    auto server = InferenceServer::start(model, options);
    ASSERT_TRUE(server) << server.error().message << server.error().detail;
    EXPECT_TRUE(std::filesystem::is_socket(options.unix_socket));
    server->reset();
    (void)remove_tree(folder.parent_path().string()).has_value();
}

TEST(ServingSocket, EndsCleanlyOnSigterm) {
    const std::string place =
        (std::filesystem::temp_directory_path() / ("serving_test." + std::to_string(getpid()) + ".sock")).string();
    const pid_t child = fork();
    if (child == 0) {
        Echo model;
        ServeOptions options;
        options.unix_socket = place;
        _exit(serve_until_signal(model, options) ? 0 : 1);
    }
    // It listens when it is ready for signals.
    for (int i = 0; i < 10'000 && !file_exists(place); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    kill(child, SIGTERM);
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    unlink(place.c_str());
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(ServingSocket, EnvironmentChoosesTheSocket) {
    setenv("SAGEMAKER_BIND_TO_PORT", "9123", 1);
    EXPECT_EQ(ServeOptions::from_environment()->port, 9123);
    setenv("SAGEMAKER_BIND_TO_PORT", "abc", 1);
    EXPECT_FALSE(ServeOptions::from_environment());
    unsetenv("SAGEMAKER_BIND_TO_PORT");
    setenv("MILLWRIGHT_SERVE_SOCKET", "/a/b", 1);
    EXPECT_EQ(ServeOptions::from_environment()->unix_socket, "/a/b");
    unsetenv("MILLWRIGHT_SERVE_SOCKET");
}

}  // namespace
}  // namespace millwright::algorithms
