#include "services/sagemaker_runtime/sagemaker_runtime.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "aws/event_stream.h"

namespace millwright::services {
namespace {

using resources::ReplicaReply;
using resources::ReplicaRequest;

class MemoryBody final : public net::BodyReader {
  public:
    explicit MemoryBody(std::string bytes) : bytes_(std::move(bytes)) {}
    Result<size_t> read(std::span<char> buffer) override {
        const size_t size = std::min(buffer.size(), bytes_.size() - at_);
        std::copy_n(bytes_.data() + at_, size, buffer.data());
        at_ += size;
        return size;
    }
    std::optional<uint64_t> length() const override {
        return known_length ? std::optional<uint64_t>(bytes_.size()) : std::nullopt;
    }
    bool known_length = true;

  private:
    std::string bytes_;
    size_t at_ = 0;
};

class MemoryResponse final : public net::ResponseWriter {
  public:
    Result<void> send(int code, const net::Headers& fields, std::string_view bytes) override {
        status = code;
        headers = fields;
        body = bytes;
        return {};
    }
    Result<void> send_file(int, const net::Headers&, int, uint64_t, uint64_t) override {
        return internal_error("not here");
    }
    Result<void> send_headers_only(int, const net::Headers&, uint64_t) override { return internal_error("not here"); }
    Result<void> start(int code, const net::Headers& fields) override {
        status = code;
        headers = fields;
        return {};
    }
    Result<void> write(std::string_view bytes) override {
        if (writes_left-- == 0) return Error{ErrorKind::Unavailable, "the client is gone", ""};
        body += bytes;
        return {};
    }
    Result<void> finish() override {
        finished = true;
        return {};
    }
    bool answered() const override { return status != 0; }

    int status = 0;
    net::Headers headers;
    std::string body;
    bool finished = false;
    int writes_left = -1;
};

class EchoChannel final : public resources::ReplicaChannel {
  public:
    resources::PingAnswer ping(std::chrono::milliseconds) override { return {200, ""}; }
    Result<ReplicaReply> invoke(const ReplicaRequest& request, std::chrono::milliseconds) override {
        if (failure) return *failure;
        return ReplicaReply{
            status, "text/csv", std::string(request.custom_attributes),
            std::string(request.content_type) + "|" + std::string(request.accept) + "|" + std::string(request.body)};
    }
    Result<void> invoke_stream(const ReplicaRequest& request, const resources::StreamPatience& patience,
                               resources::ReplyReceiver& receiver) override {
        if (pieces.empty()) return ReplicaChannel::invoke_stream(request, patience, receiver);
        if (!receiver.begin({status, "text/plain", std::string(request.accept), ""})) return {};
        for (const auto& piece : pieces) {
            ++offered;
            if (!receiver.piece(piece)) return {};
        }
        if (failure) return *failure;
        return {};
    }
    int status = 200;
    std::vector<std::string> pieces;
    int offered = 0;
    std::optional<Error> failure;
};

class RuntimeTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/mw_runtime_XXXXXX";
        folder_ = mkdtemp(name);
        database_ = metadata_store::Database::open(folder_ + "/metadata.db").value();
        metrics_ = resources::Metrics::open(*database_, system_clock()).value();
        inference::GatewaySettings settings;
        settings.max_body_bytes = 1000;
        gateway_ = std::make_unique<inference::Gateway>(routes_, *metrics_, system_clock(), settings);
        handler_ = sagemaker_runtime_handler(*gateway_);
        auto replica = std::make_shared<resources::ReplicaRoute>();
        replica->channel = channel_;
        auto route = std::make_shared<resources::EndpointRoute>();
        route->name = "my-endpoint";
        route->log_group = "/aws/sagemaker/Endpoints/my-endpoint";
        route->status = "InService";
        route->variants.push_back({"AllTraffic", 1, false, {replica}});
        routes_.set("123456789012", "us-west-2", "my-endpoint", route);
    }
    void TearDown() override {
        gateway_.reset();
        std::filesystem::remove_all(folder_);
    }
    aws::ApiResult<void> post(std::string target, net::Headers headers = {}, std::string bytes = "1,2",
                              bool known_length = true) {
        aws::Call call;
        call.caller.account = "123456789012";
        call.caller.region = "us-west-2";
        MemoryBody body(std::move(bytes));
        body.known_length = known_length;
        net::Request request{"POST", std::move(target), std::move(headers), &body, ""};
        response_ = MemoryResponse();
        response_.writes_left = gone_after_;
        return handler_(call, request, response_);
    }
    const std::string path_ = "/endpoints/my-endpoint/invocations";
    const std::string stream_path_ = path_ + "-response-stream";
    int gone_after_ = -1;  // writes

    std::string folder_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<resources::Metrics> metrics_;
    resources::Routes routes_;
    std::shared_ptr<EchoChannel> channel_ = std::make_shared<EchoChannel>();
    std::unique_ptr<inference::Gateway> gateway_;
    aws::StreamHandler handler_;
    MemoryResponse response_;
};

TEST_F(RuntimeTest, BodyTypesAndAttributesPassBothWays) {
    const auto done = post(path_, {{"Content-Type", "text/csv; x=y"},
                                   {"Accept", "*/*"},
                                   {"X-Amzn-SageMaker-Custom-Attributes", "k=v"},
                                   {"X-Amzn-SageMaker-Inference-Id", "id"},
                                   {"X-Amzn-SageMaker-Target-Variant", "AllTraffic"}});
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(response_.status, 200);
    EXPECT_EQ(response_.body, "text/csv; x=y|*/*|1,2");
    EXPECT_EQ(response_.headers.get("Content-Type"), "text/csv");
    EXPECT_EQ(response_.headers.get("x-Amzn-Invoked-Production-Variant"), "AllTraffic");
    EXPECT_EQ(response_.headers.get("X-Amzn-SageMaker-Custom-Attributes"), "k=v");
}

TEST_F(RuntimeTest, AnUnknownEndpointHasAwssText) {
    const auto failed = post("/endpoints/other/invocations");
    EXPECT_EQ(failed.error().code, "ValidationError");
    EXPECT_EQ(failed.error().status, 400);
    EXPECT_EQ(failed.error().message, "Endpoint other of account 123456789012 not found.");
    EXPECT_EQ(post(path_, {{"X-Amzn-SageMaker-Target-Variant", "none"}}).error().message,
              "Variant none not found for endpoint my-endpoint of account 123456789012.");
}

TEST_F(RuntimeTest, ModelErrorsCarryTheOriginal) {
    channel_->status = 415;
    const auto failed = post(path_);
    EXPECT_EQ(failed.error().status, 424);
    EXPECT_EQ(failed.error().code, "ModelError");
    EXPECT_EQ(failed.error().message,
              "Received client error (415) from primary with message \"||1,2\". See "
              "https://us-west-2.console.aws.amazon.com/cloudwatch/home?region=us-west-2#logEventViewer:group="
              "/aws/sagemaker/Endpoints/my-endpoint in account 123456789012 for more information.");
    EXPECT_EQ(failed.error().members["OriginalStatusCode"].as_int(), 415);
    EXPECT_EQ(failed.error().members["OriginalMessage"].as_string(), "||1,2");
    EXPECT_EQ(failed.error().members["LogStreamArn"].as_string(),
              "arn:aws:logs:us-west-2:123456789012:log-group:/aws/sagemaker/Endpoints/my-endpoint");
    channel_->status = 500;
    EXPECT_TRUE(post(path_).error().message.starts_with("Received server error (500) from primary"));
    channel_->failure = Error{ErrorKind::Unavailable, "slow", "timeout"};
    EXPECT_EQ(post(path_).error().code, "ModelError");
    EXPECT_EQ(post(path_).error().members["OriginalStatusCode"].as_int(), 0);
}

TEST_F(RuntimeTest, BodiesOverTheLimitAreRefusedWithAndWithoutALength) {
    EXPECT_TRUE(post(path_, {}, std::string(1000, 'x')));
    EXPECT_EQ(post(path_, {}, std::string(1001, 'x')).error().status, 413);
    EXPECT_EQ(post(path_, {}, std::string(1001, 'x'), false).error().status, 413);
}

TEST_F(RuntimeTest, WhatIsNotSupportedIsRefusedByName) {
    const std::pair<const char*, const char*> cases[] = {
        {"X-Amzn-SageMaker-Target-Model", "TargetModel"},
        {"X-Amzn-SageMaker-Target-Container-Hostname", "TargetContainerHostname"},
        {"X-Amzn-SageMaker-Inference-Component", "InferenceComponentName"},
        {"X-Amzn-SageMaker-Session-Id", "SessionId"},
        {"X-Amzn-SageMaker-Enable-Explanations", "EnableExplanations"}};
    for (const auto& [header, member] : cases) {
        const auto failed = post(path_, {{header, "x"}});
        ASSERT_FALSE(failed) << header;
        EXPECT_EQ(failed.error().code, "ValidationError");
        EXPECT_NE(failed.error().message.find(member), std::string::npos);
    }
    EXPECT_EQ(post("/endpoints/my-endpoint/async-invocations").error().message,
              "Millwright does not support InvokeEndpointAsync yet.");
    EXPECT_EQ(post("/elsewhere").error().status, 404);
    EXPECT_EQ(post("/endpoints/-bad-/invocations").error().code, "ValidationError");
    EXPECT_EQ(post("/endpoints/a%2Fb/invocations").error().code, "ValidationError");
    EXPECT_EQ(post(path_, {{"X-Amzn-SageMaker-Custom-Attributes", std::string(1025, 'x')}}).error().code,
              "ValidationError");
}

// The frames of a streamed answer: "event PayloadPart abc".
std::vector<std::string> frames_of(std::string_view stream) {
    std::vector<std::string> frames;
    while (!stream.empty()) {
        const auto decoded = aws::decode_frame(stream).value();
        if (!decoded) return {"cut short"};
        stream.remove_prefix(decoded->consumed);
        const auto& headers = decoded->frame.headers;
        frames.push_back(headers[0].second + " " + headers[1].second + " " + decoded->frame.payload);
    }
    return frames;
}

TEST_F(RuntimeTest, StreamsEachPieceAsAnEvent) {
    channel_->pieces = {"one", "two", "three"};
    const auto done = post(stream_path_, {{"X-Amzn-SageMaker-Accept", "text/x"}, {"Accept", "*/*"}});
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(response_.status, 200);
    EXPECT_EQ(response_.headers.get("Content-Type"), "application/vnd.amazon.eventstream");
    EXPECT_EQ(response_.headers.get("X-Amzn-SageMaker-Content-Type"), "text/plain");
    EXPECT_EQ(response_.headers.get("x-Amzn-Invoked-Production-Variant"), "AllTraffic");
    EXPECT_EQ(response_.headers.get("X-Amzn-SageMaker-Custom-Attributes"), "text/x");
    EXPECT_EQ(frames_of(response_.body),
              (std::vector<std::string>{"event PayloadPart one", "event PayloadPart two", "event PayloadPart three"}));
    EXPECT_TRUE(response_.finished);
}

TEST_F(RuntimeTest, WhatBreaksInAStreamIsToldInIt) {
    channel_->pieces = {"one"};
    const std::pair<Error, const char*> cases[] = {
        {{ErrorKind::Unavailable, "slow", "timeout"}, "ModelInvocationTimeExceeded"},
        {{ErrorKind::Unavailable, "reset", ""}, "StreamBroken"},
        {{ErrorKind::InvalidInput, "cut short", ""}, "StreamBroken"}};
    for (const auto& [error, code] : cases) {
        channel_->failure = error;
        ASSERT_TRUE(post(stream_path_));
        const auto frames = frames_of(response_.body);
        ASSERT_EQ(frames.size(), 2u);
        EXPECT_EQ(frames[0], "event PayloadPart one");
        EXPECT_TRUE(frames[1].starts_with("exception ModelStreamError {")) << frames[1];
        EXPECT_NE(frames[1].find(code), std::string::npos) << frames[1];
        EXPECT_TRUE(response_.finished);
    }
}

TEST_F(RuntimeTest, WhatFailsBeforeAStreamIsAnOrdinaryError) {
    channel_->pieces = {"no ", "such ", "thing"};
    channel_->status = 404;
    const auto refused = post(stream_path_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "ModelError");
    EXPECT_EQ(refused.error().members["OriginalStatusCode"].as_int(), 404);
    EXPECT_EQ(refused.error().members["OriginalMessage"].as_string(), "no such thing");
    EXPECT_FALSE(response_.answered());
    EXPECT_EQ(post("/endpoints/other/invocations-response-stream").error().code, "ValidationError");
    channel_->pieces.clear();
    channel_->failure = Error{ErrorKind::Unavailable, "slow", "timeout"};
    EXPECT_EQ(post(stream_path_).error().code, "ModelError");
}

TEST_F(RuntimeTest, AClientThatGoesAwayEndsTheStream) {
    channel_->pieces = {"one", "two", "three"};
    gone_after_ = 1;
    EXPECT_TRUE(post(stream_path_));
    EXPECT_EQ(channel_->offered, 2);
    EXPECT_EQ(frames_of(response_.body), std::vector<std::string>{"event PayloadPart one"});
}

}  // namespace
}  // namespace millwright::services
