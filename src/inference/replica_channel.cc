#include "inference/replica_channel.h"

#include "net/http_client.h"

namespace millwright::inference {
namespace {

constexpr std::string_view kCustomAttributes = "X-Amzn-SageMaker-Custom-Attributes";
constexpr size_t kMaxPingAnswer = size_t{1} << 20;

class HttpReplicaChannel final : public resources::ReplicaChannel {
  public:
    HttpReplicaChannel(const std::string& socket, size_t max_answer_bytes)
        : client_(net::HttpClient::unix_socket(socket)), max_answer_bytes_(max_answer_bytes) {}

    bool ping(std::chrono::milliseconds timeout) override {
        const auto answer = client_->call("GET", "/ping", {}, "", timeout, kMaxPingAnswer);
        return answer && answer->status == 200;
    }

    Result<resources::ReplicaReply> invoke(const resources::ReplicaRequest& request,
                                           std::chrono::milliseconds timeout) override {
        net::Headers headers;
        if (!request.content_type.empty()) headers.add("Content-Type", std::string(request.content_type));
        if (!request.accept.empty()) headers.add("Accept", std::string(request.accept));
        if (!request.custom_attributes.empty())
            headers.add(std::string(kCustomAttributes), std::string(request.custom_attributes));
        auto answer = TRY(client_->call("POST", "/invocations", headers, request.body, timeout, max_answer_bytes_));
        resources::ReplicaReply reply;
        reply.status = answer.status;
        reply.content_type = answer.headers.get("Content-Type");
        reply.custom_attributes = answer.headers.get(kCustomAttributes);
        reply.body = std::move(answer.body);
        return reply;
    }

  private:
    const std::unique_ptr<net::HttpClient> client_;
    const size_t max_answer_bytes_;
};

}  // namespace

std::shared_ptr<resources::ReplicaChannel> open_replica_channel(const std::string& socket, size_t max_answer_bytes) {
    return std::make_shared<HttpReplicaChannel>(socket, max_answer_bytes);
}

}  // namespace millwright::inference
