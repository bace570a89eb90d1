#include "resources/training_jobs/metric_scraper.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <map>
#include <thread>

#include "base/event_file.h"
#include "base/files.h"
#include "base/log.h"
#include "base/mutex.h"
#include "resources/training_jobs/metric_regex.h"

namespace millwright::resources {
namespace {

using Steady = std::chrono::steady_clock;

// A job that prints without pause costs one transaction per pause, not one per line.
constexpr std::chrono::milliseconds kPause{100};
constexpr size_t kEventsAtOnce = 2000;
constexpr size_t kBytesAtOnce = size_t{1} << 20;
constexpr size_t kMaxCachedSets = 64;

struct Definition {
    std::string name;
    std::unique_ptr<MetricRegex> regex;
};
using Definitions = std::vector<Definition>;

struct Watch {
    ScrapedJob job;
    std::shared_ptr<const Definitions> definitions;
    std::vector<LogPosition> logs GUARDED_BY(mutex);
    std::vector<int> descriptors;  // of inotify
    Mutex mutex;                   // one reader at a time
};

std::vector<MetricSample> find_samples(const Watch& watch, const std::vector<LogEvent>& events) {
    std::vector<MetricSample> samples;
    for (const auto& event : events) {
        for (const auto& definition : *watch.definitions) {
            const auto value = definition.regex->find(event.message);
            if (!value) continue;
            MetricSample sample;
            sample.account = watch.job.account;
            sample.region = watch.job.region;
            sample.metric_namespace = "/aws/sagemaker/TrainingJobs";
            sample.name = definition.name;
            sample.dimensions = {{"TrainingJobName", watch.job.name}};
            sample.time = from_epoch_milliseconds(event.time_ms);
            sample.value = *value;
            samples.push_back(std::move(sample));
        }
    }
    return samples;
}

class InotifyScraper : public MetricScraper {
  public:
    InotifyScraper(TrainingJobStore& store, Metrics& metrics, Fd inotify, Fd wake)
        : store_(store), metrics_(metrics), inotify_(std::move(inotify)), wake_(std::move(wake)) {
        thread_ = std::jthread([this](const std::stop_token& stop) { follow(stop); });
    }
    ~InotifyScraper() override {
        thread_.request_stop();
        wake();
        thread_.join();
    }

    Result<void> watch(const ScrapedJob& job) override;
    Result<void> drain(const ScrapedJob& job) override;

  private:
    Result<std::shared_ptr<Watch>> open(const ScrapedJob& job);
    Result<std::shared_ptr<const Definitions>> compile(const Json& definitions);
    Result<void> read_all(Watch& watch);
    Result<void> read_log(Watch& watch, LogPosition& log);
    Result<void> step_back(Watch& watch, LogPosition& log);
    void follow(const std::stop_token& stop);
    void take_events();
    int until_next_due();
    void read_due();
    void mark(int64_t id) REQUIRES(mutex_);
    void wake();

    TrainingJobStore& store_;
    Metrics& metrics_;
    Fd inotify_, wake_;

    Mutex mutex_;
    std::map<int64_t, std::shared_ptr<Watch>> watches_ GUARDED_BY(mutex_);
    std::map<int, int64_t> job_of_descriptor_ GUARDED_BY(mutex_);
    std::map<int64_t, Steady::time_point> due_ GUARDED_BY(mutex_);  // jobs with something new, and when to read it
    std::map<std::string, std::shared_ptr<const Definitions>> compiled_ GUARDED_BY(mutex_);

    std::jthread thread_;
};

Result<std::shared_ptr<const Definitions>> InotifyScraper::compile(const Json& definitions) {
    const auto text = definitions.dump();
    {
        MutexLock lock(mutex_);
        if (const auto known = compiled_.find(text); known != compiled_.end()) return known->second;
    }
    auto made = std::make_shared<Definitions>();
    for (const auto& definition : definitions.items()) {
        const auto pattern = definition["Regex"].string_or("");
        auto regex = TRY(MetricRegex::compile(pattern));
        made->push_back({definition["Name"].string_or(""), std::move(regex)});
    }
    MutexLock lock(mutex_);
    if (compiled_.size() >= kMaxCachedSets) compiled_.clear();
    compiled_[text] = made;
    return std::shared_ptr<const Definitions>(made);
}

Result<std::shared_ptr<Watch>> InotifyScraper::open(const ScrapedJob& job) {
    auto watch = std::make_shared<Watch>();
    watch->job = job;
    watch->definitions = TRY(compile(job.definitions));
    std::vector<LogPosition> fresh;
    for (size_t host = 0; host < job.log_files.size(); ++host)
        fresh.push_back({static_cast<int>(host), job.log_files[host], 0});
    TRY(store_.watch_logs(job.id, fresh));
    MutexLock lock(watch->mutex);
    watch->logs = TRY(store_.log_positions(job.id));
    return watch;
}

Result<void> InotifyScraper::watch(const ScrapedJob& job) {
    auto watch = TRY(open(job));
    MutexLock lock(mutex_);
    if (watches_.count(job.id)) return {};
    MutexLock reading(watch->mutex);
    for (const auto& log : watch->logs) {
        // The launcher may not have written yet; it appends to what it finds.
        TRY(open_file(log.path, O_WRONLY | O_APPEND | O_CREAT, 0600));
        const int descriptor = inotify_add_watch(inotify_.get(), log.path.c_str(), IN_MODIFY);
        if (descriptor < 0) {
            // Metrics then come at the end of the job instead of live.
            log::warning("cannot follow a log", error_from_errno(log.path));
            continue;
        }
        watch->descriptors.push_back(descriptor);
        job_of_descriptor_[descriptor] = job.id;
    }
    watches_[job.id] = std::move(watch);
    due_.emplace(job.id, Steady::now());  // what was written before we looked
    wake();
    return {};
}

Result<void> InotifyScraper::drain(const ScrapedJob& job) {
    std::shared_ptr<Watch> watch;
    {
        MutexLock lock(mutex_);
        if (const auto found = watches_.find(job.id); found != watches_.end()) {
            watch = found->second;
            watches_.erase(found);
            for (const int descriptor : watch->descriptors) {
                job_of_descriptor_.erase(descriptor);
                inotify_rm_watch(inotify_.get(), descriptor);
            }
        }
        due_.erase(job.id);
    }
    if (!watch) watch = TRY(open(job));
    return read_all(*watch);
}

Result<void> InotifyScraper::read_all(Watch& watch) {
    MutexLock lock(watch.mutex);
    for (auto& log : watch.logs) {
        auto read = read_log(watch, log);
        if (read) continue;
        // Another reader of this job was faster; what it read needs no second look.
        if (read.error().kind == ErrorKind::Conflict) watch.logs = TRY(store_.log_positions(watch.job.id));
        return read;
    }
    return {};
}

Result<void> InotifyScraper::read_log(Watch& watch, LogPosition& log) {
    for (;;) {
        const auto read = read_events(log.path, log.offset, kEventsAtOnce, kBytesAtOnce);
        if (!read && read.error().kind == ErrorKind::InvalidInput) return step_back(watch, log);
        const auto events = TRY(read);
        if (events.empty()) return {};
        TRY(store_.advance(watch.job.id, log, events.back().end, find_samples(watch, events), metrics_));
        log.offset = events.back().end;
    }
}

// A power cut takes the end of a log, which nobody has synced, but not the position, which was committed.
Result<void> InotifyScraper::step_back(Watch& watch, LogPosition& log) {
    const uint64_t end = TRY(end_of_events(log.path));
    TRY(store_.advance(watch.job.id, log, end, {}, metrics_));
    log.offset = end;
    return {};
}

void InotifyScraper::follow(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        std::array<pollfd, 2> sources{{{inotify_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}}};
        if (poll(sources.data(), sources.size(), until_next_due()) < 0 && errno != EINTR) {
            return log::error("following logs", error_from_errno("poll"));
        }
        take_events();
        read_due();
    }
}

void InotifyScraper::take_events() {
    uint64_t count = 0;
    while (read(wake_.get(), &count, sizeof count) > 0) {
    }
    alignas(inotify_event) std::array<char, 64 * 1024> buffer{};
    const auto size = read(inotify_.get(), buffer.data(), buffer.size());
    MutexLock lock(mutex_);
    for (ssize_t at = 0; at < size;) {
        const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
        at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
        if (event->mask & IN_Q_OVERFLOW) {
            for (const auto& [id, watch] : watches_) mark(id);
        } else if (const auto job = job_of_descriptor_.find(event->wd); job != job_of_descriptor_.end()) {
            mark(job->second);
        }
    }
}

void InotifyScraper::mark(int64_t id) { due_.emplace(id, Steady::now() + kPause); }

int InotifyScraper::until_next_due() {
    MutexLock lock(mutex_);
    if (due_.empty()) return -1;
    auto next = due_.begin()->second;
    for (const auto& [id, when] : due_) next = std::min(next, when);
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(next - Steady::now()).count();
    return static_cast<int>(std::max<int64_t>(0, left + 1));
}

void InotifyScraper::read_due() {
    std::vector<std::shared_ptr<Watch>> ready;
    {
        MutexLock lock(mutex_);
        const auto now = Steady::now();
        for (auto entry = due_.begin(); entry != due_.end();) {
            if (entry->second > now) {
                ++entry;
                continue;
            }
            if (const auto watch = watches_.find(entry->first); watch != watches_.end()) ready.push_back(watch->second);
            entry = due_.erase(entry);
        }
    }
    for (const auto& watch : ready) {
        // Not lost: read again with the next line, or when the job ends.
        if (auto read = read_all(*watch); !read) log::warning("reading metrics of " + watch->job.name, read.error());
    }
}

void InotifyScraper::wake() {
    const uint64_t one = 1;
    if (write(wake_.get(), &one, sizeof one) < 0 && errno != EAGAIN) log::error("waking", error_from_errno("eventfd"));
}

}  // namespace

Result<std::unique_ptr<MetricScraper>> MetricScraper::start(TrainingJobStore& store, Metrics& metrics) {
    Fd inotify(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!inotify) return error_from_errno("cannot follow log files");
    Fd wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!wake) return error_from_errno("cannot follow log files");
    return std::unique_ptr<MetricScraper>(
        std::make_unique<InotifyScraper>(store, metrics, std::move(inotify), std::move(wake)));
}

}  // namespace millwright::resources
