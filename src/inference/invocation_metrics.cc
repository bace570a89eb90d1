#include "inference/invocation_metrics.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "base/log.h"

namespace millwright::inference {

using resources::MetricSample;
using resources::StatisticSet;

namespace {

constexpr struct {
    const char *name, *unit;
} kMetrics[] = {{"Invocations", "None"},
                {"Invocation4XXErrors", "None"},
                {"Invocation5XXErrors", "None"},
                {"ModelLatency", "Microseconds"},
                {"OverheadLatency", "Microseconds"}};

void merge(StatisticSet& all, const StatisticSet& part) {
    if (part.samples == 0) return;
    all.minimum = all.samples == 0 ? part.minimum : std::min(all.minimum, part.minimum);
    all.maximum = all.samples == 0 ? part.maximum : std::max(all.maximum, part.maximum);
    all.samples += part.samples;
    all.sum += part.sum;
}

void add(StatisticSet& all, double value) { merge(all, {1, value, value, value}); }

}  // namespace

InvocationMetrics::InvocationMetrics(resources::Metrics& metrics, const Clock& clock,
                                     std::chrono::milliseconds interval)
    : metrics_(metrics), clock_(clock) {
    thread_ = std::jthread([this, interval] {
        const MutexLock lock(mutex_);
        while (!stopping_) {
            const auto next = std::chrono::steady_clock::now() + interval;
            while (!stopping_ && stop_.wait_until(mutex_, next)) {
            }
            flush();
        }
    });
}

InvocationMetrics::~InvocationMetrics() {
    {
        const MutexLock lock(mutex_);
        stopping_ = true;
        stop_.notify_all();
    }
    thread_.join();
}

void InvocationMetrics::count(const InvocationOf& invocation, const InvocationFigures& figures) {
    Shard& shard = shards_[std::hash<std::thread::id>()(std::this_thread::get_id()) % kShards];
    const std::tuple<std::string_view, std::string_view, std::string_view, std::string_view> key(
        invocation.account, invocation.region, invocation.endpoint, invocation.variant);
    const MutexLock lock(shard.mutex);
    auto found = shard.sums.find(key);
    if (found == shard.sums.end())
        found =
            shard.sums
                .emplace(Key(invocation.account, invocation.region, invocation.endpoint, invocation.variant), Sums())
                .first;
    Sums& sums = found->second;
    add(sums[0], 1);
    add(sums[1], figures.status >= 400 && figures.status < 500 ? 1 : 0);
    add(sums[2], figures.status >= 500 ? 1 : 0);
    if (!figures.has_latency) return;
    add(sums[3], static_cast<double>(figures.model.count()));
    add(sums[4], static_cast<double>(figures.overhead.count()));
}

void InvocationMetrics::flush() {
    std::map<Key, Sums> total;
    for (Shard& shard : shards_) {
        Tally part;
        {
            const MutexLock lock(shard.mutex);
            part.swap(shard.sums);
        }
        for (const auto& [key, sums] : part) {
            for (size_t i = 0; i < sums.size(); ++i) merge(total[key][i], sums[i]);
        }
    }
    std::vector<MetricSample> samples;
    for (const auto& [key, sums] : total)
        for (size_t i = 0; i < sums.size(); ++i) {
            if (sums[i].samples == 0) continue;
            MetricSample sample;
            std::string endpoint, variant;
            std::tie(sample.account, sample.region, endpoint, variant) = key;
            sample.metric_namespace = "AWS/SageMaker";
            sample.name = kMetrics[i].name;
            sample.unit = kMetrics[i].unit;
            sample.dimensions = {{"EndpointName", endpoint}, {"VariantName", variant}};
            sample.time = clock_.now();
            sample.statistics = sums[i];
            samples.push_back(std::move(sample));
        }
    if (samples.empty()) return;
    if (const auto stored = metrics_.put(samples); !stored)
        log::warning("cannot store invocation metrics", stored.error());
}

}  // namespace millwright::inference
