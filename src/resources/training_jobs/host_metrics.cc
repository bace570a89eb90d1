#include "resources/training_jobs/host_metrics.h"

#include <algorithm>
#include <map>
#include <optional>
#include <thread>

#include "base/log.h"
#include "base/mutex.h"

namespace millwright::resources {
namespace {

using executors::HostUsage;
using std::chrono::milliseconds;
using Steady = std::chrono::steady_clock;

constexpr milliseconds kFirst{1000};

MetricSample sample_of(const MeasuredRun& run, size_t host, const char* name, double value, Timestamp time) {
    return {.account = run.account,
            .region = run.region,
            .metric_namespace = "/aws/sagemaker/TrainingJobs",
            .name = name,
            .dimensions = {{"Host", run.job + "/algo-" + std::to_string(host + 1)}},
            .time = time,
            .value = value,
            .unit = "Percent"};
}

double percent(uint64_t part, uint64_t whole) { return 100 * static_cast<double>(part) / static_cast<double>(whole); }

class SamplingHostMetrics : public HostMetrics {
  public:
    SamplingHostMetrics(const Parts& parts, milliseconds interval)
        : parts_(parts), interval_(interval), thread_([this] { run(); }) {}
    ~SamplingHostMetrics() override { shut_down(); }

    void shut_down() override {
        {
            MutexLock lock(mutex_);
            stop_ = true;
            changed_.notify_all();
        }
        if (thread_.joinable()) thread_.join();
    }

    void watch(const MeasuredRun& run) override {
        if (interval_.count() <= 0) return;
        MutexLock lock(mutex_);
        if (!watched_.try_emplace(run.run_id, Watch{run, {}, {}, Steady::now()}).second) return;
        changed_.notify_all();
    }

  private:
    struct Watch {
        MeasuredRun run;
        std::vector<HostUsage> usage;  // when it was last measured; empty: never
        Steady::time_point measured, due;
    };

    void run();
    // One measurement; false when the run has ended.
    bool measure(Watch& watch, std::vector<MetricSample>& samples);
    std::vector<std::string> due_now() REQUIRES(mutex_);
    void measure_due(const std::vector<std::string>& due);

    const Parts parts_;
    const milliseconds interval_;
    std::unique_ptr<GpuReader> gpus_;  // the thread only, opened when a run first asks for it
    Mutex mutex_;
    Condition changed_;
    bool stop_ GUARDED_BY(mutex_) = false;
    std::map<std::string, Watch> watched_ GUARDED_BY(mutex_);
    std::jthread thread_;  // last: it uses all the others
};

void SamplingHostMetrics::run() {
    for (;;) {
        std::vector<std::string> due;
        {
            MutexLock lock(mutex_);
            while (!stop_ && (due = due_now()).empty()) {
                if (watched_.empty()) {
                    changed_.wait(mutex_);
                    continue;
                }
                const auto next = std::min_element(watched_.begin(), watched_.end(), [](const auto& a, const auto& b) {
                    return a.second.due < b.second.due;
                });
                changed_.wait_until(mutex_, next->second.due);
            }
            if (stop_) return;
        }
        measure_due(due);
    }
}

std::vector<std::string> SamplingHostMetrics::due_now() {
    std::vector<std::string> due;
    const auto now = Steady::now();
    for (const auto& [id, watch] : watched_) {
        if (watch.due <= now) due.push_back(id);
    }
    return due;
}

void SamplingHostMetrics::measure_due(const std::vector<std::string>& due) {
    std::vector<MetricSample> samples;
    for (const auto& id : due) {
        std::optional<Watch> watch;
        {
            MutexLock lock(mutex_);
            const auto found = watched_.find(id);
            if (found != watched_.end()) watch = found->second;
        }
        if (!watch) continue;
        const bool alive = measure(*watch, samples);
        MutexLock lock(mutex_);
        if (alive) {
            watched_[id] = std::move(*watch);
        } else {
            watched_.erase(id);
        }
    }
    if (samples.empty()) return;
    // Lost in a power cut, and no harm done: what is shown of the past is not promised.
    const auto stored = parts_.database.write(
        [&](metadata_store::Transaction& transaction) { return parts_.metrics.put_in(transaction, samples); },
        metadata_store::Durable::WithNext);
    if (!stored) log::warning("storing host metrics", stored.error());
}

bool SamplingHostMetrics::measure(Watch& watch, std::vector<MetricSample>& samples) {
    auto usage = parts_.executor.usage(watch.run.run_id);
    const auto now = Steady::now();
    const bool first = watch.usage.empty();
    watch.due = now + (first ? std::min(interval_, kFirst) : interval_);
    if (!usage) return usage.error().kind != ErrorKind::NotFound;
    if (!first && usage->size() == watch.usage.size()) {
        const auto apart = std::chrono::duration_cast<milliseconds>(now - watch.measured);
        const auto time = parts_.clock.now();
        if (watch.run.gpus && !gpus_) gpus_ = GpuReader::open();
        const auto gpus = watch.run.gpus ? gpus_->read() : std::nullopt;
        for (size_t host = 0; host < usage->size(); ++host) {
            for (auto& sample : host_samples(watch.run, host, watch.usage[host], (*usage)[host], apart, time))
                samples.push_back(std::move(sample));
            if (!gpus) continue;
            for (auto& sample : gpu_samples(watch.run, host, *gpus, time)) samples.push_back(std::move(sample));
        }
    }
    watch.usage = std::move(*usage);
    watch.measured = now;
    return true;
}

}  // namespace

std::vector<MetricSample> host_samples(const MeasuredRun& run, size_t host, const HostUsage& before,
                                       const HostUsage& now, milliseconds apart, Timestamp time) {
    std::vector<MetricSample> samples;
    // The CPU time of a host may fall when a process leaves whose time is not counted on.
    if (apart.count() > 0 && (now.cpu.count() > 0 || before.cpu.count() > 0)) {
        const auto used = std::max(milliseconds(0), now.cpu - before.cpu);
        samples.push_back(sample_of(run, host, "CPUUtilization",
                                    100 * static_cast<double>(used.count()) / static_cast<double>(apart.count()),
                                    time));
    }
    if (now.memory_limit_bytes > 0)
        samples.push_back(
            sample_of(run, host, "MemoryUtilization", percent(now.memory_bytes, now.memory_limit_bytes), time));
    if (now.disk_limit_bytes > 0)
        samples.push_back(sample_of(run, host, "DiskUtilization", percent(now.disk_bytes, now.disk_limit_bytes), time));
    return samples;
}

std::vector<MetricSample> gpu_samples(const MeasuredRun& run, size_t host, const GpuUsage& usage, Timestamp time) {
    return {sample_of(run, host, "GPUUtilization", usage.utilization, time),
            sample_of(run, host, "GPUMemoryUtilization", usage.memory_utilization, time)};
}

std::unique_ptr<HostMetrics> HostMetrics::start(const Parts& parts, milliseconds interval) {
    return std::make_unique<SamplingHostMetrics>(parts, interval);
}

}  // namespace millwright::resources
