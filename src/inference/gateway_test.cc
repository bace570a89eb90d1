#include "inference/gateway.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <thread>

#include "inference/replica_channel.h"
#include "net/http_server.h"

namespace millwright::inference {
namespace {

using namespace std::chrono_literals;
using resources::EndpointRoute;
using resources::ReplicaReply;
using resources::ReplicaRequest;
using resources::ReplicaRoute;
using resources::VariantRoute;

class FakeChannel final : public resources::ReplicaChannel {
  public:
    using Answer = std::function<Result<ReplicaReply>(const ReplicaRequest&)>;
    explicit FakeChannel(Answer answer) : answer_(std::move(answer)) {}
    resources::PingAnswer ping(std::chrono::milliseconds) override { return {200, ""}; }
    Result<ReplicaReply> invoke(const ReplicaRequest& request, std::chrono::milliseconds) override {
        ++calls;
        return answer_(request);
    }
    std::atomic<int> calls{0};

  private:
    Answer answer_;
};

ReplicaReply reply(int status, std::string body) { return {status, "text/csv", "", std::move(body)}; }

class GatewayTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/mw_gateway_XXXXXX";
        folder_ = mkdtemp(name);
        database_ = metadata_store::Database::open(folder_ + "/metadata.db").value();
        metrics_ = resources::Metrics::open(*database_, system_clock()).value();
        gateway_ = std::make_unique<Gateway>(routes_, *metrics_, system_clock(), GatewaySettings{});
    }
    void TearDown() override {
        gateway_.reset();
        std::filesystem::remove_all(folder_);
    }
    std::shared_ptr<FakeChannel> add_replica(VariantRoute& variant, FakeChannel::Answer answer) {
        auto channel = std::make_shared<FakeChannel>(std::move(answer));
        auto replica = std::make_shared<ReplicaRoute>();
        replica->channel = channel;
        variant.replicas.push_back(replica);
        return channel;
    }
    void publish(std::vector<VariantRoute> variants, std::string status = "InService") {
        auto route = std::make_shared<EndpointRoute>();
        route->name = "E";
        route->log_group = "/aws/sagemaker/Endpoints/E";
        route->status = std::move(status);
        route->variants = std::move(variants);
        routes_.set("1", "us-west-2", "E", route);
    }
    Result<Invoked, InvocationFailure> invoke(std::string_view variant = "", std::string_view endpoint = "e") {
        Invocation invocation;
        invocation.account = "1";
        invocation.region = "us-west-2";
        invocation.endpoint = endpoint;
        invocation.target_variant = variant;
        invocation.request.body = "1,2";
        invocation.received = std::chrono::steady_clock::now();
        return gateway_->invoke(invocation);
    }
    double metric_sum(const std::string& name, double* samples = nullptr) {
        gateway_->metrics().flush();
        resources::MetricQuery query;
        query.metric = {"1", "us-west-2", "AWS/SageMaker", name, {{"EndpointName", "E"}, {"VariantName", "v"}}};
        query.until = system_clock().now() + 60s;
        query.from = query.until - 3600s;
        double sum = 0;
        const auto periods = metrics_->query(query).value();
        for (const auto& period : periods) {
            sum += period.statistics.sum;
            if (samples) *samples += period.statistics.samples;
        }
        return sum;
    }

    std::string folder_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<resources::Metrics> metrics_;
    resources::Routes routes_;
    std::unique_ptr<Gateway> gateway_;
};

TEST_F(GatewayTest, VariantsShareByWeightUnlessOneIsNamed) {
    VariantRoute heavy{"heavy", 3, false, {}}, light{"light", 1, false, {}}, off{"off", 0, false, {}};
    for (VariantRoute* variant : {&heavy, &light, &off})
        add_replica(*variant, [](const ReplicaRequest&) { return reply(200, "ok"); });
    publish({heavy, light, off});
    std::map<std::string, int> seen;
    for (int i = 0; i < 4000; ++i) ++seen[invoke()->variant];
    EXPECT_NEAR(seen["heavy"], 3000, 200);
    EXPECT_NEAR(seen["light"], 1000, 200);
    EXPECT_EQ(seen["off"], 0);
    EXPECT_EQ(invoke("off")->variant, "off");
    EXPECT_EQ(invoke("none").error().kind, InvocationFailure::Kind::UnknownVariant);
}

TEST_F(GatewayTest, TheReplicaWithTheFewestRequestsIsAsked) {
    VariantRoute variant{"v", 1, false, {}};
    const auto busy = add_replica(variant, [](const ReplicaRequest&) { return reply(200, "busy"); });
    const auto idle = add_replica(variant, [](const ReplicaRequest&) { return reply(200, "idle"); });
    variant.replicas[0]->outstanding = 5;
    publish({variant});
    for (int i = 0; i < 20; ++i) EXPECT_EQ(invoke()->reply.body, "idle");
    EXPECT_EQ(busy->calls, 0);
    EXPECT_EQ(variant.replicas[1]->outstanding, 0) << "counted down again";
}

TEST_F(GatewayTest, ARequestMovesToAnotherReplicaWhenOneIsGone) {
    VariantRoute variant{"v", 1, false, {}};
    const auto dead = add_replica(variant, [](const ReplicaRequest&) -> Result<ReplicaReply> {
        return Error{ErrorKind::Unavailable, "gone", ""};
    });
    add_replica(variant, [](const ReplicaRequest&) { return reply(200, "alive"); });
    publish({variant});
    for (int i = 0; i < 50; ++i) EXPECT_EQ(invoke()->reply.body, "alive");
    EXPECT_GT(dead->calls, 0);
}

TEST_F(GatewayTest, FailuresAreToldApart) {
    EXPECT_EQ(invoke().error().kind, InvocationFailure::Kind::UnknownEndpoint);
    publish({}, "Creating");
    EXPECT_EQ(invoke().error().kind, InvocationFailure::Kind::NotInService);
    EXPECT_EQ(invoke().error().message, "Creating");
    VariantRoute variant{"v", 1, false, {}};
    publish({variant});
    EXPECT_EQ(invoke().error().kind, InvocationFailure::Kind::NoReplica);
    Result<ReplicaReply> next = reply(200, "");
    add_replica(variant, [&](const ReplicaRequest&) { return next; });
    publish({variant});
    next = reply(415, "no such type");
    EXPECT_EQ(invoke().error().kind, InvocationFailure::Kind::ModelError);
    EXPECT_EQ(invoke().error().model_status, 415);
    EXPECT_EQ(invoke().error().message, "no such type");
    next = Error{ErrorKind::Unavailable, "too slow", "timeout"};
    EXPECT_EQ(invoke().error().kind, InvocationFailure::Kind::Timeout);
    next = Error{ErrorKind::Unavailable, "closed", ""};
    EXPECT_EQ(invoke().error().kind, InvocationFailure::Kind::Broken);
    next = Error{ErrorKind::LimitExceeded, "too large", ""};
    EXPECT_EQ(invoke().error().kind, InvocationFailure::Kind::Broken);
}

TEST_F(GatewayTest, InvocationsAreCountedInBatches) {
    VariantRoute variant{"v", 1, false, {}};
    int status = 200;
    add_replica(variant, [&](const ReplicaRequest&) {
        std::this_thread::sleep_for(1ms);
        return reply(status, "");
    });
    publish({variant});
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(invoke());
    status = 400;
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(invoke());
    status = 500;
    EXPECT_FALSE(invoke());
    EXPECT_EQ(metric_sum("Invocations"), 14);
    double samples = 0;
    EXPECT_EQ(metric_sum("Invocation4XXErrors", &samples), 3);
    EXPECT_EQ(samples, 14) << "zeros count, so that an average is the share of errors";
    EXPECT_EQ(metric_sum("Invocation5XXErrors"), 1);
    double latencies = 0;
    EXPECT_GT(metric_sum("ModelLatency", &latencies), 10'000);
    EXPECT_EQ(latencies, 10);
}

// A replica on a real unix socket that answers each connection's requests with what `answer` says.
class SocketReplica {
  public:
    SocketReplica(std::string path, std::function<std::string(const std::string&)> answer)
        : answer_(std::move(answer)) {
        listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(listen(listener_, 16), 0);
        thread_ = std::jthread([this] { serve(); });
    }
    ~SocketReplica() {
        shutdown(listener_, SHUT_RDWR);
        thread_.join();
        close(listener_);
    }

  private:
    void serve() {
        for (;;) {
            const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (connection < 0) return;
            const timeval patience{0, 300'000};
            setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
            std::string input;
            char buffer[4096];
            for (;;) {
                const ssize_t got = recv(connection, buffer, sizeof buffer, 0);
                if (got <= 0) break;
                input.append(buffer, static_cast<size_t>(got));
                const size_t end = input.find("\r\n\r\n");
                if (end == input.npos) continue;
                const size_t at = input.find("Content-Length: ");
                const size_t length = at == input.npos ? 0 : std::stoul(input.substr(at + 16));
                if (input.size() < end + 4 + length) continue;
                const std::string out = answer_(input);
                send(connection, out.data(), out.size(), MSG_NOSIGNAL);
                input.clear();
            }
            close(connection);
        }
    }
    std::function<std::string(const std::string&)> answer_;
    int listener_ = -1;
    std::jthread thread_;
};

TEST(ReplicaChannel, SpeaksToAContainerOverItsPort) {
    const auto server = net::HttpServer::start(
        {.address = "127.0.0.1", .port = 0, .control_threads = 1, .data_threads = 1, .inference_threads = 1},
        [](const net::Request&) { return net::Pool::Inference; },
        [](net::Request& request, net::ResponseWriter& response) {
            const bool ping = request.raw_path() == "/ping";
            static_cast<void>(response.send(ping ? 503 : 200, {}, "answer").has_value());
        });
    ASSERT_TRUE(server);
    const auto channel = open_replica_channel("tcp:127.0.0.1:" + std::to_string((*server)->port()), 1000);
    EXPECT_EQ(channel->ping(1s).status, 503);
    EXPECT_FALSE(channel->ping(1s).healthy());
    EXPECT_EQ(channel->invoke({}, 1s)->body, "answer");
    EXPECT_EQ(open_replica_channel("tcp:nonsense", 1000)->invoke({}, 1s).error().kind, ErrorKind::Unavailable);
}

TEST(ReplicaChannel, SpeaksToAReplicaOverItsSocket) {
    char name[] = "/tmp/mw_channel_XXXXXX";
    const std::string folder = mkdtemp(name);
    const auto channel = open_replica_channel(folder + "/serve.sock", 1000);
    EXPECT_FALSE(channel->ping(100ms).healthy()) << "nobody listens yet";
    EXPECT_FALSE(channel->ping(100ms).why.empty());
    EXPECT_EQ(channel->invoke({}, 100ms).error().kind, ErrorKind::Unavailable);
    {
        SocketReplica replica(folder + "/serve.sock", [](const std::string& request) -> std::string {
            if (request.starts_with("GET /ping HTTP/1.1\r\n")) return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            if (request.find("large") != request.npos)
                return "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + std::string(5000, 'x');
            if (request.find("silent") != request.npos) return "";
            EXPECT_TRUE(request.starts_with("POST /invocations HTTP/1.1\r\n"));
            EXPECT_NE(request.find("Content-Type: text/csv; charset=utf-8\r\n"), request.npos) << "verbatim";
            EXPECT_NE(request.find("Accept: */*\r\n"), request.npos);
            EXPECT_NE(request.find("X-Amzn-SageMaker-Custom-Attributes: a=b\r\n"), request.npos);
            return "HTTP/1.1 400 Bad\r\nContent-Type: text/plain\r\nX-Amzn-SageMaker-Custom-Attributes: c\r\n"
                   "Content-Length: 4\r\n\r\nbad!";
        });
        EXPECT_TRUE(channel->ping(1s).healthy());
        EXPECT_TRUE(open_replica_channel("unix:" + folder + "/serve.sock", 1000)->ping(1s).healthy());
        const auto answer = channel->invoke({"text/csv; charset=utf-8", "*/*", "a=b", "1,2"}, 1s);
        ASSERT_TRUE(answer) << answer.error().message;
        EXPECT_EQ(answer->status, 400);
        EXPECT_EQ(answer->body, "bad!");
        EXPECT_EQ(answer->content_type, "text/plain");
        EXPECT_EQ(answer->custom_attributes, "c");
        EXPECT_EQ(channel->invoke({"", "", "", "large"}, 1s).error().kind, ErrorKind::LimitExceeded);
        EXPECT_EQ(channel->invoke({"", "", "", "silent"}, 100ms).error().detail, "timeout");
    }
    std::filesystem::remove_all(folder);
}

// A replica that writes its second piece only once the first has reached the client.
TEST_F(GatewayTest, PiecesOfAStreamArriveWhileTheModelStillWorks) {
    std::promise<void> first_has_come;
    auto come = first_has_come.get_future();
    net::ServerSettings settings;
    settings.unix_path = folder_ + "/replica.sock";
    settings.control_threads = settings.data_threads = settings.inference_threads = 1;
    const auto model = net::HttpServer::start(
                           settings, [](const net::Request&) { return net::Pool::Inference; },
                           [&](net::Request&, net::ResponseWriter& response) {
                               std::ignore = response.start(200, {{"Content-Type", "text/plain"}});
                               std::ignore = response.write("one");
                               EXPECT_EQ(come.wait_for(5s), std::future_status::ready);
                               std::ignore = response.write("two");
                               std::ignore = response.finish();
                           })
                           .value();
    auto replica = std::make_shared<ReplicaRoute>();
    replica->channel = open_replica_channel(settings.unix_path, 1000);
    VariantRoute variant{"v", 1, false, {replica}};
    publish({variant});
    struct Receiver final : InvocationReceiver {
        explicit Receiver(std::promise<void>& first) : come(first) {}
        bool begin(const ReplicaReply& head, const std::string& name) override {
            about = head.content_type + " of " + name;
            return true;
        }
        bool piece(std::string_view bytes) override {
            if (pieces.empty()) come.set_value();
            pieces.emplace_back(bytes);
            return true;
        }
        std::promise<void>& come;
        std::string about;
        std::vector<std::string> pieces;
    } receiver(first_has_come);
    Invocation invocation;
    invocation.account = "1";
    invocation.region = "us-west-2";
    invocation.endpoint = "E";
    invocation.received = std::chrono::steady_clock::now();
    EXPECT_TRUE(gateway_->invoke_stream(invocation, receiver));
    EXPECT_EQ(receiver.about, "text/plain of v");
    EXPECT_EQ(receiver.pieces, (std::vector<std::string>{"one", "two"}));
}

}  // namespace
}  // namespace millwright::inference
