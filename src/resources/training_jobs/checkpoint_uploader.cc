#include "resources/training_jobs/checkpoint_uploader.h"

#include <algorithm>
#include <map>
#include <thread>

#include "base/log.h"
#include "base/mutex.h"

namespace millwright::resources {
namespace {

using executors::CheckpointUploads;
using Steady = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPeriod{500};
constexpr std::chrono::milliseconds kLongestPeriod{30'000};
constexpr int kRest = 10;  // a pass that took t is not repeated before kRest * t, so that huge folders cost little

class ScanningUploader : public CheckpointUploader {
  public:
    explicit ScanningUploader(object_store::ObjectStore& store) : store_(store), thread_([this] { run(); }) {}
    ~ScanningUploader() override {
        {
            MutexLock lock(mutex_);
            stop_ = true;
            changed_.notify_all();
        }
        thread_.join();
    }

    void watch(const CheckpointedJob& job) override;
    Result<void> finish(const CheckpointedJob& job) override;
    void forget(int64_t id) override { take(id); }

  private:
    using Uploads = std::vector<std::shared_ptr<CheckpointUploads>>;
    struct Watch {
        std::string name;
        Uploads uploads;
        Steady::time_point due{};
        std::chrono::milliseconds pause = kPeriod;
    };

    void run();
    void look(int64_t id, const Watch& watch);
    Uploads take(int64_t id);
    Uploads uploads_for(const CheckpointedJob& job);

    object_store::ObjectStore& store_;
    std::atomic<bool> stop_{false};
    Mutex mutex_;
    Condition changed_;
    std::map<int64_t, Watch> watches_ GUARDED_BY(mutex_);
    std::jthread thread_;  // last: it uses all the others
};

ScanningUploader::Uploads ScanningUploader::uploads_for(const CheckpointedJob& job) {
    Uploads uploads;
    for (const auto& run : job.runs) uploads.push_back(std::make_shared<CheckpointUploads>(store_, run));
    return uploads;
}

void ScanningUploader::watch(const CheckpointedJob& job) {
    if (job.runs.empty()) return;
    MutexLock lock(mutex_);
    if (watches_.contains(job.id)) return;
    watches_[job.id] = {job.name, uploads_for(job), Steady::now(), kPeriod};
    changed_.notify_all();
}

ScanningUploader::Uploads ScanningUploader::take(int64_t id) {
    MutexLock lock(mutex_);
    const auto found = watches_.find(id);
    if (found == watches_.end()) return {};
    auto uploads = std::move(found->second.uploads);
    watches_.erase(found);
    return uploads;
}

Result<void> ScanningUploader::finish(const CheckpointedJob& job) {
    auto all = take(job.id);  // a pass in progress is waited for by the next one
    if (all.empty()) all = uploads_for(job);
    Result<void> first;
    for (const auto& uploads : all) {
        auto done = uploads->pass(CheckpointUploads::Pass::Last, Steady::now(), stop_);
        if (!done && first) first = std::move(done);
    }
    return first;
}

void ScanningUploader::run() {
    while (!stop_) {
        std::pair<int64_t, Watch> next;
        {
            MutexLock lock(mutex_);
            const auto first = std::min_element(watches_.begin(), watches_.end(), [](const auto& a, const auto& b) {
                return a.second.due < b.second.due;
            });
            if (stop_) return;
            if (first == watches_.end()) {
                changed_.wait(mutex_);
                continue;
            }
            if (first->second.due > Steady::now()) {
                changed_.wait_until(mutex_, first->second.due);
                continue;
            }
            next = *first;
        }
        look(next.first, next.second);
    }
}

void ScanningUploader::look(int64_t id, const Watch& watch) {
    const auto begun = Steady::now();
    bool done = true;
    for (const auto& uploads : watch.uploads) {
        const auto passed = uploads->pass(CheckpointUploads::Pass::Running, begun, stop_);
        if (!passed && !stop_) log::warning("uploading files of " + watch.name, passed.error());
        done = done && passed;
    }
    const auto ended = Steady::now();
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(ended - begun);
    MutexLock lock(mutex_);
    const auto found = watches_.find(id);
    if (found == watches_.end()) return;
    found->second.pause = done ? kPeriod : std::min(watch.pause * 2, kLongestPeriod);
    found->second.due = ended + std::max(found->second.pause, std::min(took * kRest, kLongestPeriod));
}

}  // namespace

CheckpointedJob uploads_of(int64_t id, const std::string& name, const executors::TrainingDescription& training,
                           const std::string& run_folder) {
    CheckpointedJob job{id, name, {}};
    if (training.checkpoints)
        job.runs.push_back({.uri = training.checkpoints->uri, .folder = run_folder, .hosts = training.hosts});
    for (size_t i = 0; i < training.live_outputs.size(); ++i) {
        const auto& output = training.live_outputs[i];
        CheckpointUploads::Run run{.uri = output.uri, .folder = run_folder, .hosts = training.hosts};
        run.inside = executors::live_output_folder(training, i);
        run.record = "live-" + std::to_string(i) + ".record";
        run.live = true;
        job.runs.push_back(std::move(run));
    }
    return job;
}

std::unique_ptr<CheckpointUploader> CheckpointUploader::start(object_store::ObjectStore& store) {
    return std::make_unique<ScanningUploader>(store);
}

}  // namespace millwright::resources
