#include "inference/gateway.h"

#include <random>

namespace millwright::inference {
namespace {

using resources::EndpointRoute;
using resources::ReplicaReply;
using resources::ReplicaRoute;
using resources::VariantRoute;
using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using Kind = InvocationFailure::Kind;

constexpr size_t kTries = 2;
constexpr size_t kMaxErrorBody = size_t{64} << 10;  // of a model that refuses a streamed request

// Which variant and which replica takes a request need not be unpredictable, only spread.
double random_share() {
    thread_local std::minstd_rand generator(std::random_device{}());
    return std::uniform_real_distribution<double>(0, 1)(generator);
}

const VariantRoute* variant_by_weight(const EndpointRoute& endpoint) {
    double total = 0;
    for (const VariantRoute& variant : endpoint.variants) total += variant.weight;
    double left = random_share() * total;
    const VariantRoute* last = nullptr;
    for (const VariantRoute& variant : endpoint.variants) {
        if (variant.weight <= 0) continue;
        last = &variant;
        left -= variant.weight;
        if (left < 0) break;
    }
    return last;
}

const VariantRoute* variant_named(const EndpointRoute& endpoint, std::string_view name) {
    for (const VariantRoute& variant : endpoint.variants)
        if (variant.name == name) return &variant;
    return nullptr;
}

// Ties go to the first one after a random start. `avoid`: one that has just failed; used again when there is
// no other.
const ReplicaRoute* choose_replica(const VariantRoute& variant, const ReplicaRoute* avoid) {
    const size_t count = variant.replicas.size();
    if (count == 0) return nullptr;
    if (count == 1) return variant.replicas[0].get();
    const size_t start = static_cast<size_t>(random_share() * static_cast<double>(count)) % count;
    const ReplicaRoute* best = nullptr;
    for (size_t i = 0; i < count; ++i) {
        const ReplicaRoute* replica = variant.replicas[(start + i) % count].get();
        if (replica == avoid) continue;
        if (variant.random_replica) return replica;
        if (!best ||
            replica->outstanding.load(std::memory_order_relaxed) < best->outstanding.load(std::memory_order_relaxed))
            best = replica;
    }
    return best;
}

class Outstanding {
  public:
    explicit Outstanding(const ReplicaRoute& replica) : replica_(replica) { ++replica_.outstanding; }
    ~Outstanding() { --replica_.outstanding; }
    Outstanding(const Outstanding&) = delete;
    Outstanding& operator=(const Outstanding&) = delete;

  private:
    const ReplicaRoute& replica_;
};

InvocationFailure failure(Kind kind, std::string message, std::string log_group = "", int status = 0) {
    return {kind, std::move(message), status, std::move(log_group)};
}

int metric_status(const InvocationFailure& f) {
    if (f.kind == Kind::ModelError) return f.model_status;
    return f.kind == Kind::UnknownVariant ? 400 : 500;
}

}  // namespace

Gateway::Gateway(const resources::Routes& routes, resources::Metrics& metrics, const Clock& clock,
                 const GatewaySettings& settings)
    : routes_(routes), settings_(settings), metrics_(metrics, clock, settings.metrics_interval) {}

Result<Invoked, InvocationFailure> Gateway::invoke(const Invocation& invocation) {
    return invoke_with(invocation, [&](resources::ReplicaChannel& channel, const VariantRoute&, milliseconds left) {
        return channel.invoke(invocation.request, left);
    });
}

namespace {

// Hands a 2xx on and keeps what a model says when it refuses.
class Passing final : public resources::ReplyReceiver {
  public:
    Passing(InvocationReceiver& to, const std::string& variant) : to_(to), variant_(variant) {}

    bool begin(const ReplicaReply& head) override {
        reply = head;
        passing_ = head.status >= 200 && head.status <= 299;
        begun = passing_;
        return !passing_ || to_.begin(head, variant_);
    }
    bool piece(std::string_view bytes) override {
        if (passing_) return to_.piece(bytes);
        reply.body.append(bytes.substr(0, kMaxErrorBody - reply.body.size()));
        return reply.body.size() < kMaxErrorBody;
    }

    ReplicaReply reply;
    bool begun = false;

  private:
    InvocationReceiver& to_;
    const std::string& variant_;
    bool passing_ = false;
};

}  // namespace

Result<void, InvocationFailure> Gateway::invoke_stream(const Invocation& invocation, InvocationReceiver& receiver) {
    bool begun = false;
    const auto attempt = [&](resources::ReplicaChannel& channel, const VariantRoute& variant,
                             milliseconds left) -> Result<ReplicaReply> {
        Passing passing(receiver, variant.name);
        auto outcome =
            channel.invoke_stream(invocation.request, {left, settings_.timeout, settings_.stream_timeout}, passing);
        begun = passing.begun;
        if (outcome || passing.reply.status > 299) return std::move(passing.reply);
        // What has begun is not tried again elsewhere.
        if (begun && outcome.error().detail != "timeout") outcome.error().kind = ErrorKind::Internal;
        return outcome.error();
    };
    auto answer = invoke_with(invocation, attempt);
    if (answer) return {};
    answer.error().begun = begun;
    return std::move(answer.error());
}

Result<Invoked, InvocationFailure> Gateway::invoke_with(const Invocation& invocation, const Try& attempt) {
    // Held until the answer is here: draining waits for it.
    const auto endpoint = routes_.find(invocation.account, invocation.region, invocation.endpoint);
    if (!endpoint) return failure(Kind::UnknownEndpoint, "");
    if (endpoint->variants.empty()) return failure(Kind::NotInService, endpoint->status);
    const VariantRoute* variant = invocation.target_variant.empty()
                                      ? variant_by_weight(*endpoint)
                                      : variant_named(*endpoint, invocation.target_variant);
    if (!variant) return failure(Kind::UnknownVariant, std::string(invocation.target_variant));
    auto answer = call_replica(*endpoint, *variant, invocation, attempt);
    if (!answer)
        metrics_.count({invocation.account, invocation.region, endpoint->name, variant->name},
                       {metric_status(answer.error()), {}, {}, false});
    return answer;
}

Result<Invoked, InvocationFailure> Gateway::call_replica(const EndpointRoute& endpoint, const VariantRoute& variant,
                                                         const Invocation& invocation, const Try& attempt) {
    const auto sent = steady_clock::now();
    const auto deadline = sent + settings_.timeout;
    const ReplicaRoute* tried = nullptr;
    InvocationFailure last = failure(Kind::NoReplica, "", endpoint.log_group);
    for (size_t tries = 0; tries < kTries; ++tries) {
        const ReplicaRoute* replica = choose_replica(variant, tried);
        if (!replica) return last;
        tried = replica;
        const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
        if (left <= milliseconds(0)) return failure(Kind::Timeout, "", endpoint.log_group);
        const Outstanding counted(*replica);
        auto reply = attempt(*replica->channel, variant, left);
        if (!reply) {
            const Error& error = reply.error();
            if (error.detail == "timeout") return failure(Kind::Timeout, "", endpoint.log_group);
            last = failure(Kind::Broken, error.message, endpoint.log_group);
            // A replica that went away: another one may answer. Inference has no effect that could happen
            // twice.
            if (error.kind == ErrorKind::Unavailable) continue;
            return last;
        }
        if (reply->status < 200 || reply->status > 299)
            return failure(Kind::ModelError, std::move(reply->body), endpoint.log_group, reply->status);
        const auto model = duration_cast<microseconds>(steady_clock::now() - sent);
        const auto overhead = duration_cast<microseconds>(sent - invocation.received);
        metrics_.count({invocation.account, invocation.region, endpoint.name, variant.name},
                       {reply->status, model, overhead, true});
        return Invoked{std::move(*reply), variant.name};
    }
    return last;
}

}  // namespace millwright::inference
