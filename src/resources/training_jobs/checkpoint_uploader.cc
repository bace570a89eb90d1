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
    struct Watch {
        std::string name;
        std::shared_ptr<CheckpointUploads> uploads;
        Steady::time_point due{};
        std::chrono::milliseconds pause = kPeriod;
    };

    void run();
    void look(int64_t id, const Watch& watch);
    std::shared_ptr<CheckpointUploads> take(int64_t id);

    object_store::ObjectStore& store_;
    std::atomic<bool> stop_{false};
    Mutex mutex_;
    Condition changed_;
    std::map<int64_t, Watch> watches_ GUARDED_BY(mutex_);
    std::jthread thread_;  // last: it uses all the others
};

void ScanningUploader::watch(const CheckpointedJob& job) {
    MutexLock lock(mutex_);
    if (watches_.contains(job.id)) return;
    watches_[job.id] = {job.name, std::make_shared<CheckpointUploads>(store_, job.run), Steady::now(), kPeriod};
    changed_.notify_all();
}

std::shared_ptr<CheckpointUploads> ScanningUploader::take(int64_t id) {
    MutexLock lock(mutex_);
    const auto found = watches_.find(id);
    if (found == watches_.end()) return nullptr;
    auto uploads = std::move(found->second.uploads);
    watches_.erase(found);
    return uploads;
}

Result<void> ScanningUploader::finish(const CheckpointedJob& job) {
    auto uploads = take(job.id);  // a pass in progress is waited for by the next line
    if (!uploads) uploads = std::make_shared<CheckpointUploads>(store_, job.run);
    return uploads->pass(CheckpointUploads::Pass::Last, Steady::now(), stop_);
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
    const auto done = watch.uploads->pass(CheckpointUploads::Pass::Running, begun, stop_);
    if (!done && !stop_) log::warning("uploading checkpoints of " + watch.name, done.error());
    const auto ended = Steady::now();
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(ended - begun);
    MutexLock lock(mutex_);
    const auto found = watches_.find(id);
    if (found == watches_.end()) return;
    found->second.pause = done ? kPeriod : std::min(watch.pause * 2, kLongestPeriod);
    found->second.due = ended + std::max(found->second.pause, std::min(took * kRest, kLongestPeriod));
}

}  // namespace

std::unique_ptr<CheckpointUploader> CheckpointUploader::start(object_store::ObjectStore& store) {
    return std::make_unique<ScanningUploader>(store);
}

}  // namespace millwright::resources
