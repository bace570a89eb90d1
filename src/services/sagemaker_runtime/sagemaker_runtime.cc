#include "services/sagemaker_runtime/sagemaker_runtime.h"

#include "aws/access.h"
#include "aws/event_stream.h"
#include "base/encoding.h"
#include "base/strings.h"

namespace millwright::services {
namespace {

using aws::ApiError;
using aws::ApiResult;
using aws::Call;
using inference::Gateway;
using inference::Invocation;
using inference::InvocationFailure;
using Kind = InvocationFailure::Kind;

constexpr std::string_view kCustomAttributes = "X-Amzn-SageMaker-Custom-Attributes";
constexpr size_t kMaxCustomAttributes = 1024;
constexpr size_t kMaxInferenceId = 64;
constexpr size_t kMaxEndpointName = 63;
constexpr size_t kMaxModelMessage = 16 * 1024;

ApiError validation_error(std::string text) { return {400, "ValidationError", std::move(text)}; }

// What each header would ask for; the endpoints that could answer it are refused at creation.
constexpr struct {
    std::string_view header, member;
} kUnsupported[] = {
    {"X-Amzn-SageMaker-Target-Model", "TargetModel (multi-model endpoints)"},
    {"X-Amzn-SageMaker-Target-Container-Hostname", "TargetContainerHostname (multi-container endpoints)"},
    {"X-Amzn-SageMaker-Inference-Component", "InferenceComponentName (inference components)"},
    {"X-Amzn-SageMaker-Session-Id", "SessionId (stateful sessions)"},
    {"X-Amzn-SageMaker-Enable-Explanations", "EnableExplanations (Clarify)"},
    {"X-Amzn-SageMaker-Prefix-Aware-Id", "PrefixAwareId (prefix-aware routing)"},
};

bool is_endpoint_name(std::string_view name) {
    if (name.empty() || name.size() > kMaxEndpointName || name.front() == '-' || name.back() == '-') return false;
    for (const char c : name)
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-')) return false;
    return true;
}

enum class Operation { InvokeEndpoint, InvokeEndpointWithResponseStream };

constexpr std::string_view name_of(Operation operation) {
    return operation == Operation::InvokeEndpoint ? "InvokeEndpoint" : "InvokeEndpointWithResponseStream";
}

struct Target {
    std::string endpoint;
    Operation operation = Operation::InvokeEndpoint;
};

// "/endpoints/<name>/invocations" and "…/invocations-response-stream".
ApiResult<Target> target_of(const net::Request& request) {
    const std::vector<std::string_view> parts = split(request.raw_path(), '/');
    const bool known = parts.size() == 4 && parts[0].empty() && parts[1] == "endpoints" && request.method == "POST";
    if (known && parts[3] == "async-invocations")
        return validation_error("Millwright does not support InvokeEndpointAsync yet.");
    const bool stream = known && parts[3] == "invocations-response-stream";
    if (!known || (parts[3] != "invocations" && !stream))
        return ApiError(404, "UnknownOperationException", "There is no operation " + request.method + " on this path.");
    std::string name = percent_decode(parts[2]);
    if (!is_endpoint_name(name))
        return validation_error(
            "1 validation error detected: Value at 'endpointName' failed to satisfy constraint: Member must "
            "satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9])*");
    return Target{std::move(name), stream ? Operation::InvokeEndpointWithResponseStream : Operation::InvokeEndpoint};
}

ApiResult<void> check_access(const Call& call, const Target& target) {
    const std::string operation(name_of(target.operation));
    if (call.gate) call.gate->name_operation(operation);
    return call.require({.action = "sagemaker:" + operation,
                         .resource = "arn:aws:sagemaker:" + call.caller.region + ":" + call.caller.account +
                                     ":endpoint/" + to_lower(target.endpoint)});
}

ApiResult<void> check_headers(const net::Headers& headers) {
    for (const auto& [header, member] : kUnsupported)
        if (headers.has(header))
            return validation_error("Millwright does not support " + std::string(member) + " yet.");
    const auto attributes = headers.find(kCustomAttributes);
    if (attributes && attributes->size() > kMaxCustomAttributes)
        return validation_error(
            "1 validation error detected: Value at 'customAttributes' failed to satisfy constraint: Member "
            "must have length less than or equal to 1024");
    for (const char c : attributes.value_or(""))
        if (c < 0x20 || c > 0x7e)
            return validation_error(
                "1 validation error detected: Value at 'customAttributes' failed to satisfy constraint: "
                "Member must satisfy regular expression pattern: \\p{ASCII}*");
    if (headers.find("X-Amzn-SageMaker-Inference-Id").value_or("").size() > kMaxInferenceId)
        return validation_error(
            "1 validation error detected: Value at 'inferenceId' failed to satisfy constraint: Member must "
            "have length less than or equal to 64");
    return {};
}

ApiResult<std::string> read_body(net::BodyReader& body, size_t limit) {
    const ApiError too_large(413, "RequestEntityTooLarge",
                             "HTTP content length exceeded " + std::to_string(limit) + " bytes.");
    if (body.length().value_or(0) > limit) return too_large;
    auto bytes = net::read_all(body, limit);
    if (bytes) return std::move(*bytes);
    if (bytes.error().kind == ErrorKind::LimitExceeded) return too_large;
    return ApiError(bytes.error());
}

ApiError model_error(const Call& call, const InvocationFailure& failure, int status, std::string text) {
    const std::string side = status >= 400 && status < 500 ? "client" : "server";
    text = valid_utf8(std::string_view(text).substr(0, kMaxModelMessage));
    ApiError error(424, "ModelError",
                   "Received " + side + " error (" + std::to_string(status) + ") from primary with message \"" + text +
                       "\". See https://" + call.caller.region + ".console.aws.amazon.com/cloudwatch/home?region=" +
                       call.caller.region + "#logEventViewer:group=" + failure.log_group + " in account " +
                       call.caller.account + " for more information.");
    error.members = Json::object({{"OriginalStatusCode", status},
                                  {"OriginalMessage", text},
                                  {"LogStreamArn", "arn:aws:logs:" + call.caller.region + ":" + call.caller.account +
                                                       ":log-group:" + failure.log_group}});
    return error;
}

ApiError error_of(const Call& call, const std::string& endpoint, const InvocationFailure& failure) {
    const std::string account = " of account " + call.caller.account;
    switch (failure.kind) {
        case Kind::UnknownEndpoint:
            return validation_error("Endpoint " + endpoint + account + " not found.");
        case Kind::NotInService:
            return validation_error("Endpoint " + endpoint + account + " is not in service: its status is " +
                                    failure.message + ".");
        case Kind::UnknownVariant:
            return validation_error("Variant " + failure.message + " not found for endpoint " + endpoint + account +
                                    ".");
        case Kind::NoReplica:
            return {503, "ServiceUnavailable",
                    "Every instance of the variant is being restarted. Try your call again."};
        case Kind::ModelError:
            return model_error(call, failure, failure.model_status, failure.message);
        case Kind::Timeout:
            return model_error(
                call, failure, 0,
                "Your invocation timed out while waiting for a response from container primary. Review the "
                "latency "
                "metrics for each container in Amazon CloudWatch, resolve the issue, and try again.");
        case Kind::Broken:
            break;
    }
    return model_error(call, failure, 500, "The container did not give a whole answer (" + failure.message + ").");
}

net::Headers answer_headers(std::string_view type_header, const resources::ReplicaReply& reply,
                            const std::string& variant) {
    net::Headers headers;
    if (!reply.content_type.empty()) headers.add(std::string(type_header), reply.content_type);
    headers.add("x-Amzn-Invoked-Production-Variant", variant);
    if (!reply.custom_attributes.empty()) headers.add(std::string(kCustomAttributes), reply.custom_attributes);
    return headers;
}

// Each piece of the model's answer becomes an event at once.
class EventReceiver final : public inference::InvocationReceiver {
  public:
    explicit EventReceiver(net::ResponseWriter& response) : response_(response) {}

    bool begin(const resources::ReplicaReply& head, const std::string& variant) override {
        net::Headers headers = answer_headers("X-Amzn-SageMaker-Content-Type", head, variant);
        headers.add("Content-Type", std::string(aws::kEventStreamType));
        return response_.start(200, headers).has_value();
    }
    bool piece(std::string_view bytes) override {
        return response_.write(aws::encode_event("PayloadPart", bytes)).has_value();
    }
    void end() { (void)response_.finish(); }
    void fail(std::string_view type, const Json& members) {
        if (response_.write(aws::encode_exception(type, members))) end();
    }

  private:
    net::ResponseWriter& response_;
};

// The status has been sent: what goes wrong from here on is told in the stream.
void end_broken_stream(EventReceiver& receiver, const InvocationFailure& failure) {
    if (failure.kind == Kind::Timeout)
        return receiver.fail("ModelStreamError",
                             Json::object({{"Message",
                                            "The model did not finish sending its response in time. "
                                            "See " +
                                                failure.log_group},
                                           {"ErrorCode", "ModelInvocationTimeExceeded"}}));
    if (failure.kind == Kind::Broken)
        return receiver.fail("ModelStreamError",
                             Json::object({{"Message", "The connection to the model broke (" + failure.message +
                                                           "). See " + failure.log_group},
                                           {"ErrorCode", "StreamBroken"}}));
    receiver.fail("InternalStreamFailure",
                  Json::object({{"Message", "The stream ended because of an internal failure"}}));
}

ApiResult<void> invoke(Gateway& gateway, const Call& call, net::Request& request, net::ResponseWriter& response) {
    const auto received = std::chrono::steady_clock::now();
    const Target target = TRY(target_of(request));
    TRY(check_access(call, target));
    TRY(check_headers(request.headers));
    const std::string body = TRY(read_body(*request.body, gateway.settings().max_body_bytes));
    Invocation invocation;
    invocation.account = call.caller.account;
    invocation.region = call.caller.region;
    invocation.endpoint = target.endpoint;
    invocation.target_variant = request.headers.find("X-Amzn-SageMaker-Target-Variant").value_or("");
    invocation.request = {request.headers.find("Content-Type").value_or(""),
                          request.headers.find("Accept").value_or(""),
                          request.headers.find(kCustomAttributes).value_or(""), body};
    invocation.received = received;
    if (target.operation == Operation::InvokeEndpointWithResponseStream) {
        // Here the model's answer type is asked for under another name.
        invocation.request.accept = request.headers.find("X-Amzn-SageMaker-Accept").value_or("");
        EventReceiver receiver(response);
        const auto outcome = gateway.invoke_stream(invocation, receiver);
        if (!outcome && !outcome.error().begun) return error_of(call, target.endpoint, outcome.error());
        outcome ? receiver.end() : end_broken_stream(receiver, outcome.error());
        return {};
    }
    const auto answer = gateway.invoke(invocation);
    if (!answer) return error_of(call, target.endpoint, answer.error());
    // The client is gone if this fails: nobody is left to be told.
    (void)response.send(200, answer_headers("Content-Type", answer->reply, answer->variant), answer->reply.body);
    return {};
}

}  // namespace

aws::StreamHandler sagemaker_runtime_handler(Gateway& gateway) {
    return [&gateway](const Call& call, net::Request& request, net::ResponseWriter& response) {
        return invoke(gateway, call, request, response);
    };
}

}  // namespace millwright::services
