// From an invocation to the replica that answers it: variant by weight, replica by least outstanding
// requests.
#pragma once

#include <chrono>
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
};

// Thread-safe. Takes no lock that another request may hold for long, and allocates little beyond the answer.
class Gateway {
  public:
    Gateway(const resources::Routes& routes, resources::Metrics& metrics, const Clock& clock,
            const GatewaySettings& settings);

    Result<Invoked, InvocationFailure> invoke(const Invocation& invocation);
    const GatewaySettings& settings() const { return settings_; }
    InvocationMetrics& metrics() { return metrics_; }

  private:
    Result<Invoked, InvocationFailure> call_replica(const resources::EndpointRoute& endpoint,
                                                    const resources::VariantRoute& variant,
                                                    const Invocation& invocation);

    const resources::Routes& routes_;
    const GatewaySettings settings_;
    InvocationMetrics metrics_;
};

}  // namespace millwright::inference
