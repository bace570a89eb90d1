#include "object_store/lifecycle_worker.h"

#include <algorithm>

#include "base/log.h"
#include "base/mutex.h"

namespace millwright::object_store {
namespace {

constexpr size_t kRemovalsAtOnce = 100;  // in one transaction, which others wait for

std::string common_start(std::string_view a, std::string_view b) {
    return std::string(a.begin(), std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first);
}

// What all rules together look at.
std::string common_prefix(const std::vector<LifecycleRule>& rules) {
    std::optional<std::string> prefix;
    for (const auto& rule : rules) {
        const std::string wanted = rule.filter.prefix.value_or("");
        prefix = prefix ? common_start(*prefix, wanted) : wanted;
    }
    return prefix.value_or("");
}

// What ends too early cannot be brought back. So a clock that leaps ahead while we look is believed one pause later,
// when somebody may have set it right.
class Pace {
  public:
    explicit Pace(const Clock& clock) : clock_(clock) { has_leapt(); }
    bool has_leapt() {
        constexpr auto kMost = std::chrono::hours(24);
        const auto wall = clock_.now();
        const auto steady = std::chrono::steady_clock::now();
        const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(steady - steady_);
        const bool leapt = wall - wall_ > passed + kMost;
        wall_ = wall;
        steady_ = steady;
        return leapt;
    }

  private:
    const Clock& clock_;
    Timestamp wall_{};
    std::chrono::steady_clock::time_point steady_{};
};

bool same(const Result<BucketInfo>& bucket, const std::string& document) {
    if (!bucket) return false;
    const std::string* now = bucket->document(kLifecycleDocument);
    return now && *now == document;
}

}  // namespace

// The way through one bucket: all versions of all keys in order, then its uploads.
class LifecycleWorker::Scan {
  public:
    Scan(ObjectStore& store, Timestamp now, const Settings& settings, std::string bucket, std::string document,
         std::vector<LifecycleRule> rules)
        : store_(store),
          now_(now),
          settings_(settings),
          bucket_(std::move(bucket)),
          document_(std::move(document)),
          rules_(std::move(rules)) {
        versions_.prefix = uploads_.prefix = common_prefix(rules_);
        versions_.max_versions = uploads_.max_uploads = settings.page;
    }

    // False when the bucket is done, or has other rules now.
    Result<bool> step() {
        if (!same(store_.find_bucket(bucket_), document_)) return false;
        if (!versions_done_) return step_versions();
        return step_uploads();
    }

  private:
    struct Seen {
        VersionInfo version;
        int noncurrent = 0;  // versions of the key before this one that are not the newest
    };

    Result<bool> step_versions() {
        const auto page = TRY(store_.list_versions(bucket_, versions_));
        // Only now: the page had to begin after a version that is still there.
        TRY(remove_doomed());
        for (const auto& version : page.versions) TRY(look_at(version));
        versions_.after_key = page.last_key;
        versions_.after_version = page.last_version;
        if (page.truncated) return true;
        versions_done_ = true;
        end_of_key();
        TRY(remove_doomed());
        return true;
    }

    Result<void> look_at(const VersionInfo& version) {
        const bool same_key = before_ && before_->version.object.key == version.object.key;
        if (!same_key) end_of_key();
        alone_ = !same_key;
        Seen seen{version, same_key ? before_->noncurrent + (before_->version.latest ? 0 : 1) : 0};
        if (version.latest && !version.delete_marker) {
            if (TRY(current_ends(version.object))) doom_current(version.object);
        } else if (!version.latest && same_key) {
            if (TRY(noncurrent_ends(version, seen.noncurrent, before_->version.object.modified)))
                doomed_.push_back({version.object.key, version.object.version});
        }
        before_ = std::move(seen);
        return {};
    }

    // A delete marker goes when nothing is behind it.
    void end_of_key() {
        if (!before_ || !alone_ || !before_->version.latest || !before_->version.delete_marker) return;
        const ObjectInfo& marker = before_->version.object;
        for (const auto& rule : rules_) {
            if (!rule.enabled || !rule.filter.tags.empty() || !fits_without_tags(rule.filter, marker.key, 0)) continue;
            const bool aged = rule.days && days_after(marker.modified, *rule.days, settings_.day) <= now_;
            if (!aged && !rule.expired_delete_markers.value_or(false)) continue;
            doomed_.push_back({marker.key, marker.version});
            return;
        }
    }

    // Whether the filter holds; reads the tags only when the rule asks for some.
    Result<bool> fits_all(const LifecycleRule& rule, const ObjectInfo& object) {
        if (!rule.enabled || !fits_without_tags(rule.filter, object.key, object.size)) return false;
        if (rule.filter.tags.empty()) return true;
        const auto whole = store_.head(bucket_, object.key, object.version);
        if (whole) return fits(rule.filter, *whole);
        // Gone, or a delete marker: it has no tags.
        if (whole.error().kind == ErrorKind::NotFound || whole.error().kind == ErrorKind::Conflict) return false;
        return whole.error();
    }

    Result<bool> current_ends(const ObjectInfo& object) {
        for (const auto& rule : rules_) {
            const bool aged = rule.days && days_after(object.modified, *rule.days, settings_.day) <= now_;
            const bool dated = rule.date && *rule.date <= now_;
            if (!aged && !dated) continue;
            if (TRY(fits_all(rule, object))) return true;
        }
        return false;
    }

    Result<bool> noncurrent_ends(const VersionInfo& version, int newer, Timestamp since) {
        for (const auto& rule : rules_) {
            if (!rule.noncurrent_days || days_after(since, *rule.noncurrent_days, settings_.day) > now_) continue;
            if (newer < rule.newer_noncurrent.value_or(0)) continue;
            if (TRY(fits_all(rule, version.object))) return true;
        }
        return false;
    }

    void doom_current(const ObjectInfo& object) {
        Removal removal{object.key};
        removal.if_match = object.etag;
        removal.if_modified_at = object.modified;
        doomed_.push_back(std::move(removal));
    }

    Result<void> remove_doomed() {
        const std::vector<Removal> doomed = std::move(doomed_);
        doomed_.clear();
        const std::span<const Removal> all(doomed);
        for (size_t at = 0; at < all.size(); at += kRemovalsAtOnce) {
            const auto removed = store_.remove(bucket_, all.subspan(at, std::min(kRemovalsAtOnce, all.size() - at)));
            if (!removed) return removed.error();
        }
        return {};
    }

    Result<bool> step_uploads() {
        const auto page = TRY(store_.list_uploads(bucket_, uploads_));
        for (const auto& upload : page.uploads) {
            if (!upload_ends(upload)) continue;
            const auto aborted = store_.abort_upload(bucket_, upload.key, upload.id);
            if (!aborted && aborted.error().kind != ErrorKind::NotFound) return aborted.error();
        }
        uploads_.after_key = page.last_key;
        uploads_.after_id = page.last_id;
        return page.truncated;
    }

    bool upload_ends(const UploadInfo& upload) const {
        return std::any_of(rules_.begin(), rules_.end(), [&](const LifecycleRule& rule) {
            return rule.enabled && rule.abort_uploads_days && fits_without_tags(rule.filter, upload.key, 0) &&
                   days_after(upload.initiated, *rule.abort_uploads_days, settings_.day) <= now_;
        });
    }

    ObjectStore& store_;
    const Timestamp now_;
    const Settings& settings_;
    const std::string bucket_, document_;
    const std::vector<LifecycleRule> rules_;
    VersionListRequest versions_;
    UploadListRequest uploads_;
    bool versions_done_ = false;
    std::optional<Seen> before_;
    bool alone_ = false;  // the version before is the only one of its key so far
    std::vector<Removal> doomed_;
};

LifecycleWorker::LifecycleWorker(ObjectStore& store, const Clock& clock, Settings settings)
    : store_(store), clock_(clock), settings_(settings) {}

LifecycleWorker::~LifecycleWorker() = default;

std::unique_ptr<LifecycleWorker> LifecycleWorker::start(ObjectStore& store, const Clock& clock, Settings settings) {
    auto worker = std::make_unique<LifecycleWorker>(store, clock, settings);
    worker->thread_ = std::jthread([raw = worker.get()](const std::stop_token& stop) { raw->run(stop); });
    return worker;
}

bool LifecycleWorker::step() {
    if (!scan_ && !next_bucket()) return false;
    const auto more = scan_->step();
    if (!more && more.error().kind != ErrorKind::NotFound) log::warning("lifecycle", more.error());
    if (!more || !*more) scan_.reset();
    return true;
}

// Begins a round when none is running.
bool LifecycleWorker::next_bucket() {
    if (!in_round_) {
        auto buckets = store_.buckets_with(kLifecycleDocument);
        if (!buckets) {
            log::warning("lifecycle", buckets.error());
            return false;
        }
        buckets_.assign(buckets->rbegin(), buckets->rend());
    }
    while (!buckets_.empty()) {
        const std::string name = std::move(buckets_.back());
        buckets_.pop_back();
        const auto bucket = store_.find_bucket(name);
        const std::string* document = bucket ? bucket->document(kLifecycleDocument) : nullptr;
        if (!document) continue;
        auto rules = read_lifecycle(*document);
        if (!rules) {
            log::warning("lifecycle", rules.error());
            continue;
        }
        scan_ = std::make_unique<Scan>(store_, clock_.now(), settings_, name, *document, *std::move(rules));
        in_round_ = true;
        return true;
    }
    in_round_ = false;
    return false;
}

void LifecycleWorker::run(const std::stop_token& stop) {
    Mutex mutex;
    Condition stopped;
    const std::stop_callback wake(stop, [&] {
        const MutexLock lock(mutex);
        stopped.notify_all();
    });
    Pace pace(clock_);
    while (!stop.stop_requested()) {
        const bool wait = !in_round_ && pace.has_leapt();
        if (wait)
            log::warning("lifecycle", Error{ErrorKind::Unavailable, "the clock has leapt ahead: nothing ends yet", ""});
        if (!wait && step()) continue;
        const auto next = std::chrono::steady_clock::now() + settings_.pause;
        const MutexLock lock(mutex);
        while (!stop.stop_requested() && stopped.wait_until(mutex, next)) continue;
    }
}

}  // namespace millwright::object_store
