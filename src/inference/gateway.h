// From an invocation to the replica that answers it: variant by weight, replica by least outstanding
// requests.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "inference/invocation_metrics.h"
#include "resources/endpoints/routes.h"
#include "resources/metrics/metrics.h"

namespace millwright::inference {

struct GatewaySettings {
    size_t max_body_bytes = size_t{25} << 20;  // of a request and of an answer
    std::chrono::milliseconds timeout{60'000};
    std::chrono::milliseconds stream_timeout{480'000};  // of a whole streamed answer; its head and pauses: `timeout`
    std::chrono::milliseconds metrics_interval{10'000};
};

struct Invocation {
    std::string_view account, region, endpoint;
    std::string_view target_variant;  // empty: by weight
    resources::ReplicaRequest request;
    std::chrono::steady_clock::time_point received;  // for OverheadLatency
};

// The model's answer, a 2xx.
struct Invoked {
    resources::ReplicaReply reply;
    std::string variant;
};

struct InvocationFailure {
    enum class Kind {
        UnknownEndpoint,
        NotInService,    // never was, or is being deleted
        UnknownVariant,  // target_variant
        NoReplica,       // every replica of the variant is being restarted
        ModelError,      // the model answered `model_status` with `message`
        Timeout,
        Broken,  // no whole answer came
    };
    Kind kind;
    std::string message;  // ModelError: what the model said
    int model_status = 0;
    std::string log_group;  // for everything that reached a replica
    bool begun = false;     // the receiver of a stream has seen its beginning
};

// A streamed answer, a 2xx. False from either: the client is gone, the rest is not wanted.
class InvocationReceiver {
  public:
    virtual ~InvocationReceiver() = default;
    virtual bool begin(const resources::ReplicaReply& head, const std::string& variant) = 0;
    virtual bool piece(std::string_view bytes) = 0;
};

// Thread-safe. Takes no lock that another request may hold for long, and allocates little beyond the answer.
class Gateway {
  public:
    Gateway(const resources::Routes& routes, resources::Metrics& metrics, const Clock& clock,
            const GatewaySettings& settings);

    Result<Invoked, InvocationFailure> invoke(const Invocation& invocation);
    // The answer piece by piece, as the model sends it.
    Result<void, InvocationFailure> invoke_stream(const Invocation& invocation, InvocationReceiver& receiver);
    const GatewaySettings& settings() const { return settings_; }
    InvocationMetrics& metrics() { return metrics_; }

  private:
    // One try; `left`: until the deadline. Whatever the replica answers is a value.
    using Try = std::function<Result<resources::ReplicaReply>(
        resources::ReplicaChannel& channel, const resources::VariantRoute& variant, std::chrono::milliseconds left)>;

    Result<Invoked, InvocationFailure> invoke_with(const Invocation& invocation, const Try& attempt);
    Result<Invoked, InvocationFailure> call_replica(const resources::EndpointRoute& endpoint,
                                                    const resources::VariantRoute& variant,
                                                    const Invocation& invocation, const Try& attempt);

    const resources::Routes& routes_;
    const GatewaySettings settings_;
    InvocationMetrics metrics_;
};

}  // namespace millwright::inference
