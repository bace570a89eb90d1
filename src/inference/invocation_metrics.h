// Counts invocations in memory and stores them in batches, so that a request costs no commit. Namespace
// AWS/SageMaker, dimensions EndpointName and VariantName: Invocations, Invocation4XXErrors,
// Invocation5XXErrors (0 or 1 per request), ModelLatency and OverheadLatency (microseconds); each batch is
// one statistic set per metric.
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>

#include "base/mutex.h"
#include "base/time.h"
#include "resources/metrics/metrics.h"

namespace millwright::inference {

struct InvocationOf {
    std::string_view account, region, endpoint, variant;
};

struct InvocationFigures {
    int status = 200;  // of the model, or of the gateway's own error
    std::chrono::microseconds model{}, overhead{};
    bool has_latency = false;
};

// Thread-safe. What is counted and not yet stored is stored on destruction, and lost when the server is
// killed.
class InvocationMetrics {
  public:
    InvocationMetrics(resources::Metrics& metrics, const Clock& clock, std::chrono::milliseconds interval);
    ~InvocationMetrics();

    void count(const InvocationOf& invocation, const InvocationFigures& figures);
    void flush();

  private:
    using Sums = std::array<resources::StatisticSet, 5>;  // in the order of the list above
    using Key = std::tuple<std::string, std::string, std::string, std::string>;
    // Spelled out: clang 14 does not compare tuples of different types by std::less<>.
    struct KeyOrder {
        using is_transparent = void;
        bool operator()(const auto& left, const auto& right) const { return view(left) < view(right); }
        static std::array<std::string_view, 4> view(const auto& key) {
            return {std::get<0>(key), std::get<1>(key), std::get<2>(key), std::get<3>(key)};
        }
    };
    using Tally = std::map<Key, Sums, KeyOrder>;
    struct Shard {
        Mutex mutex;
        Tally sums GUARDED_BY(mutex);
    };
    // Threads write to different shards, so they do not wait for each other.
    static constexpr size_t kShards = 16;

    resources::Metrics& metrics_;
    const Clock& clock_;
    std::array<Shard, kShards> shards_;
    Mutex mutex_;
    Condition stop_;
    bool stopping_ GUARDED_BY(mutex_) = false;
    std::jthread thread_;
};

}  // namespace millwright::inference
