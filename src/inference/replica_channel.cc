#include "inference/replica_channel.h"

#include "base/strings.h"
#include "net/http_client.h"

namespace millwright::inference {
namespace {

constexpr std::string_view kCustomAttributes = "X-Amzn-SageMaker-Custom-Attributes";
constexpr size_t kMaxPingAnswer = size_t{1} << 20;

net::Headers headers_of(const resources::ReplicaRequest& request) {
    net::Headers headers;
    if (!request.content_type.empty()) headers.add("Content-Type", std::string(request.content_type));
    if (!request.accept.empty()) headers.add("Accept", std::string(request.accept));
    if (!request.custom_attributes.empty())
        headers.add(std::string(kCustomAttributes), std::string(request.custom_attributes));
    return headers;
}

resources::ReplicaReply head_of(const net::ClientResponse& answer) {
    return {answer.status, answer.headers.get("Content-Type"), answer.headers.get(kCustomAttributes), ""};
}

std::unique_ptr<net::HttpClient> client_of(std::string_view address) {
    constexpr std::string_view kTcp = "tcp:", kUnix = "unix:";
    const size_t colon = address.rfind(':');
    if (address.starts_with(kTcp) && colon > kTcp.size()) {
        const auto port = parse_int(address.substr(colon + 1)).value_or(0);
        return net::HttpClient::tcp(std::string(address.substr(kTcp.size(), colon - kTcp.size())),
                                    static_cast<uint16_t>(port));
    }
    return net::HttpClient::unix_socket(std::string(address.substr(address.starts_with(kUnix) ? kUnix.size() : 0)));
}

class HttpReplicaChannel final : public resources::ReplicaChannel {
  public:
    HttpReplicaChannel(const std::string& address, size_t max_answer_bytes)
        : client_(client_of(address)), local_(!address.starts_with("tcp:")), max_answer_bytes_(max_answer_bytes) {}

    resources::PingAnswer ping(std::chrono::milliseconds timeout) override {
        const auto answer = client_->call("GET", "/ping", {}, "", timeout, kMaxPingAnswer);
        if (answer) return {answer->status, ""};
        // Paths of this machine are nothing that users of an endpoint should read.
        if (local_ && answer.error().message.starts_with("cannot connect"))
            return {0, "the connection was not accepted"};
        if (answer.error().detail != "timeout") return {0, answer.error().message};
        return {0, "no answer within " + std::to_string(timeout.count()) + " ms"};
    }

    Result<resources::ReplicaReply> invoke(const resources::ReplicaRequest& request,
                                           std::chrono::milliseconds timeout) override {
        auto answer =
            TRY(client_->call("POST", "/invocations", headers_of(request), request.body, timeout, max_answer_bytes_));
        resources::ReplicaReply reply = head_of(answer);
        reply.body = std::move(answer.body);
        return reply;
    }

    Result<void> invoke_stream(const resources::ReplicaRequest& request, const resources::StreamPatience& patience,
                               resources::ReplyReceiver& receiver) override {
        class Passing final : public net::HttpClient::Receiver {
          public:
            explicit Passing(resources::ReplyReceiver& to) : to_(to) {}
            bool begin(const net::ClientResponse& response) override { return to_.begin(head_of(response)); }
            bool piece(std::string_view bytes) override { return to_.piece(bytes); }

          private:
            resources::ReplyReceiver& to_;
        } passing(receiver);
        return client_->stream("POST", "/invocations", headers_of(request), request.body,
                               {patience.head, patience.pause, patience.whole}, passing);
    }

  private:
    const std::unique_ptr<net::HttpClient> client_;
    const bool local_;
    const size_t max_answer_bytes_;
};

}  // namespace

std::shared_ptr<resources::ReplicaChannel> open_replica_channel(const std::string& address, size_t max_answer_bytes) {
    return std::make_shared<HttpReplicaChannel>(address, max_answer_bytes);
}

}  // namespace millwright::inference
