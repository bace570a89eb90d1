#include "resources/training_jobs/warm_pools.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <system_error>
#include <thread>

#include "base/files.h"
#include "base/log.h"
#include "base/mutex.h"

namespace millwright::resources {
namespace {

using executors::RunOutcome;
using metadata_store::Connection;
using metadata_store::Durable;
using metadata_store::Transaction;
using std::chrono::seconds;

// Columns have the prefix because lists of jobs join this table.
const std::vector<metadata_store::Migration> kSchema = {
    {"warm_pools 1: pools",
     "CREATE TABLE warm_pool(job INTEGER PRIMARY KEY, pool_status TEXT NOT NULL, pool_keep_alive INTEGER NOT NULL,"
     " pool_match TEXT NOT NULL DEFAULT '', pool_image TEXT NOT NULL DEFAULT '', pool_cpus REAL NOT NULL DEFAULT 0,"
     " pool_memory INTEGER NOT NULL DEFAULT 0, pool_hosts INTEGER NOT NULL DEFAULT 1,"
     " pool_run TEXT NOT NULL DEFAULT '', pool_environment TEXT NOT NULL DEFAULT '', pool_since INTEGER,"
     " pool_retained INTEGER, pool_reused_by TEXT NOT NULL DEFAULT '');"
     "CREATE INDEX warm_pool_status ON warm_pool(pool_status, job);"},
};

enum class SpareState { None, Starting, Ready };

struct Pool {
    std::string match, image;
    jobs::Demand demand;
    int hosts = 1;
    std::string run_id, environment;
    SpareState spare = SpareState::None;
    Timestamp since{};
    seconds keep_alive{0};
    std::optional<int64_t> claimed_by;
    Timestamp expiry() const { return since + keep_alive; }
};

std::string key_of(int64_t job) { return "warm-pool/" + std::to_string(job); }

int64_t whole_seconds(Timestamp from, Timestamp to) {
    const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(to - from).count();
    return std::max<int64_t>(0, (passed + 999) / 1000);
}

class RunningWarmPools : public WarmPools, public executors::RunListener {
  public:
    RunningWarmPools(std::string folder, const Parts& parts) : folder_(std::move(folder)), parts_(parts) {}
    ~RunningWarmPools() override { shut_down(); }
    Result<void> open();

    std::set<std::string> run_ids() override;
    Result<void> begin(int64_t job, seconds keep_alive) override;
    std::string claim(const std::string& match, const std::string& image, int64_t job,
                      const std::string& name) override;
    TakenInstances take(int64_t job, const std::string& environment, const std::string& fresh_run_id) override;
    void give_up(int64_t job) override;
    Result<bool> keep(int64_t job, const KeptInstances& instances) override;
    Result<void> keep_nothing(int64_t job) override;
    void stand_ready(int64_t job, WarmSpare spare) override;
    Result<void> set_keep_alive(int64_t job, seconds keep_alive) override;
    Result<std::optional<WarmPoolStatus>> status(int64_t job) override;
    Result<void> forget(int64_t job) override;
    void shut_down() override;

    void run_started(const std::string&, Timestamp) override {}
    void run_ended(const std::string& id, const RunOutcome& outcome) override;

  private:
    Timestamp now() const { return parts_.clock.now(); }
    std::string folder_of(const std::string& run_id) const { return folder_ + "/" + run_id; }
    Result<void> adopt_pools();
    void go_on_without_spare(int64_t job, const std::string& run_id);
    void reserve(int64_t job, const jobs::Demand& demand);
    void yield(int64_t job);
    void terminate(int64_t job, const char* why, std::optional<Timestamp> end = std::nullopt);
    void end_spare(const Pool& pool);
    void dispose(const std::string& run_id);
    void move_cache(const std::string& from, const std::string& to, int hosts) const;
    void record(const std::string& what, const std::function<Result<void>(Transaction&)>& change);
    void work();

    const std::string folder_;
    const Parts parts_;
    Mutex mutex_;
    Condition changed_;
    std::map<int64_t, Pool> pools_ GUARDED_BY(mutex_);         // Available, and those claimed but not taken yet
    std::map<int64_t, std::string> taken_ GUARDED_BY(mutex_);  // job -> spare it was to use
    std::deque<std::string> ended_ GUARDED_BY(mutex_);         // runs whose folders go
    bool stopping_ GUARDED_BY(mutex_) = false;
    std::jthread thread_;  // times, and the removal of folders
};

Result<void> RunningWarmPools::open() {
    TRY(parts_.database.migrate("warm_pools", kSchema));
    TRY(adopt_pools());
    thread_ = std::jthread([this] { work(); });
    return {};
}

Result<void> RunningWarmPools::adopt_pools() {
    // A job records what it keeps before it records its end; one that has ended without had nothing to keep.
    TRY(parts_.database.write([](Transaction& transaction) -> Result<void> {
        // Looked up by id; a list of the ids of all jobs would take seconds with a million of them.
        TRY(transaction.run(
            "DELETE FROM warm_pool WHERE NOT EXISTS (SELECT 1 FROM training_job WHERE id = warm_pool.job)"));
        TRY(transaction.run(
            "UPDATE warm_pool SET pool_status='Terminated', pool_retained=0 WHERE pool_status='InUse' AND EXISTS "
            "(SELECT 1 FROM training_job WHERE id = warm_pool.job AND status IN ('Completed','Failed','Stopped'))"));
        return {};
    }));
    const auto rows = TRY(parts_.database.read([](Connection& connection) {
        return connection.query(
            "SELECT job, pool_match, pool_image, pool_cpus, pool_memory, pool_hosts, pool_run, "
            "pool_environment, pool_since, pool_keep_alive FROM warm_pool "
            "WHERE pool_status='Available' ORDER BY job");
    }));
    for (const auto& row : rows) {
        Pool pool{.match = row.text(1),
                  .image = row.text(2),
                  .demand = {row.real(3), static_cast<uint64_t>(row.integer(4))},
                  .hosts = static_cast<int>(row.integer(5)),
                  .run_id = row.text(6),
                  .environment = row.text(7),
                  .spare = SpareState::Ready,
                  .since = from_epoch_milliseconds(row.integer(8)),
                  .keep_alive = seconds(row.integer(9)),
                  .claimed_by = std::nullopt};
        const int64_t job = row.integer(0);
        const auto run_id = pool.run_id;
        const auto demand = pool.demand;
        {
            MutexLock lock(mutex_);
            pools_[job] = std::move(pool);
        }
        // A spare that is gone is reported as ended.
        if (const auto found = parts_.executor.adopt_spare(run_id, folder_of(run_id), *this); !found) {
            log::warning("finding the spare of " + key_of(job), found.error());
            go_on_without_spare(job, run_id);
        }
        reserve(job, demand);
    }
    return {};
}

// Nobody would tell of its end, and its folder would stay.
void RunningWarmPools::go_on_without_spare(int64_t job, const std::string& run_id) {
    if (const auto ended = parts_.executor.end_leftover(folder_of(run_id)); !ended)
        log::warning("ending the spare of " + key_of(job), ended.error());
    MutexLock lock(mutex_);
    pools_.at(job).spare = SpareState::None;
}

void RunningWarmPools::reserve(int64_t job, const jobs::Demand& demand) {
    parts_.supervisor.reserve({key_of(job), demand, [this, job] { yield(job); }});
}

void RunningWarmPools::record(const std::string& what, const std::function<Result<void>(Transaction&)>& change) {
    const auto written =
        parts_.database.write([&](Transaction& transaction) { return change(transaction); }, Durable::WithNext);
    if (!written) log::warning("recording that a warm pool is " + what, written.error());
}

std::set<std::string> RunningWarmPools::run_ids() {
    MutexLock lock(mutex_);
    std::set<std::string> ids;
    for (const auto& [job, pool] : pools_) ids.insert(pool.run_id);
    return ids;
}

Result<void> RunningWarmPools::begin(int64_t job, seconds keep_alive) {
    if (keep_alive.count() <= 0) return {};
    return parts_.database.write(
        [&](Transaction& transaction) -> Result<void> {
            TRY(
                transaction.run("INSERT INTO warm_pool(job, pool_status, pool_keep_alive) VALUES(?, 'InUse', ?) "
                                "ON CONFLICT DO NOTHING",
                                job, static_cast<int64_t>(keep_alive.count())));
            return {};
        },
        Durable::WithNext);
}

std::string RunningWarmPools::claim(const std::string& match, const std::string& image, int64_t job,
                                    const std::string& name) {
    int64_t best = 0, retained = 0;
    {
        MutexLock lock(mutex_);
        if (stopping_) return "";
        const auto time = now();
        const auto worth = [&](const Pool& pool) { return std::pair(pool.image == image, pool.since); };
        for (const auto& [id, pool] : pools_) {
            if (pool.claimed_by || pool.match != match || pool.expiry() <= time) continue;
            if (best == 0 || worth(pool) > worth(pools_.at(best))) best = id;
        }
        if (best == 0) return "";
        auto& pool = pools_.at(best);
        pool.claimed_by = job;
        retained = whole_seconds(pool.since, time);
    }
    record("reused", [&](Transaction& transaction) -> Result<void> {
        TRY(transaction.run("UPDATE warm_pool SET pool_status='Reused', pool_reused_by=?, pool_retained=? WHERE job=?",
                            name, retained, best));
        return {};
    });
    log::info("training job " + name + " reuses " + key_of(best));
    return key_of(best);
}

TakenInstances RunningWarmPools::take(int64_t job, const std::string& environment, const std::string& fresh_run_id) {
    std::optional<Pool> pool;
    std::string unused;
    bool ready = false;
    {
        MutexLock lock(mutex_);
        if (const auto before = taken_.find(job); before != taken_.end()) {
            unused = before->second;
            taken_.erase(before);
        }
        const auto claimed = std::find_if(pools_.begin(), pools_.end(),
                                          [&](const auto& entry) { return entry.second.claimed_by == job; });
        if (claimed != pools_.end()) {
            const int64_t id = claimed->first;
            while (pools_.contains(id) && pools_.at(id).spare == SpareState::Starting) changed_.wait(mutex_);
            if (const auto still = pools_.find(id); still != pools_.end()) {
                pool = std::move(still->second);
                pools_.erase(still);
            }
        }
        ready = pool && pool->spare == SpareState::Ready && !environment.empty() && pool->environment == environment;
        if (ready) taken_[job] = pool->run_id;
    }
    if (!unused.empty()) static_cast<void>(parts_.executor.kill(unused).has_value());
    if (!pool) return {.run_id = fresh_run_id, .ready = false, .reused = false};
    if (ready) return {.run_id = pool->run_id, .ready = true, .reused = true};
    move_cache(pool->run_id, fresh_run_id, pool->hosts);
    end_spare(*pool);
    return {.run_id = fresh_run_id, .ready = false, .reused = true};
}

void RunningWarmPools::give_up(int64_t job) {
    std::optional<Pool> unused;
    std::string run_id, reservation;
    {
        MutexLock lock(mutex_);
        if (const auto taken = taken_.find(job); taken != taken_.end()) {
            run_id = taken->second;
            taken_.erase(taken);
        }
        for (auto entry = pools_.begin(); entry != pools_.end(); ++entry) {
            if (entry->second.claimed_by != job) continue;
            reservation = key_of(entry->first);
            unused = std::move(entry->second);
            pools_.erase(entry);
            break;
        }
    }
    // No harm to a run that was given its work and has ended: it is not known any more.
    if (!run_id.empty()) static_cast<void>(parts_.executor.kill(run_id).has_value());
    if (!unused) return;
    parts_.supervisor.release(reservation);
    end_spare(*unused);
}

Result<bool> RunningWarmPools::keep(int64_t job, const KeptInstances& instances) {
    {
        MutexLock lock(mutex_);
        if (pools_.contains(job)) return false;  // the second time, after an error
    }
    const auto run_id = parts_.random.hex(32);
    const auto time = now();
    seconds keep_alive{0};
    const bool kept = TRY(parts_.database.write(
        [&](Transaction& transaction) -> Result<bool> {
            const auto row =
                TRY(transaction.query_one("SELECT pool_status, pool_keep_alive FROM warm_pool WHERE job=?", job));
            if (!row || row->text(0) != "InUse") return false;
            keep_alive = seconds(row->integer(1));
            if (keep_alive.count() <= 0) {
                TRY(transaction.run("UPDATE warm_pool SET pool_status='Terminated', pool_retained=0 WHERE job=?", job));
                return false;
            }
            TRY(transaction.run(
                "UPDATE warm_pool SET pool_status='Available', pool_match=?, pool_image=?, pool_cpus=?, pool_memory=?, "
                "pool_hosts=?, pool_run=?, pool_since=? WHERE job=?",
                instances.match, instances.image, instances.demand.cpus,
                static_cast<int64_t>(instances.demand.memory_bytes), instances.hosts, run_id,
                to_epoch_milliseconds(time), job));
            return true;
        },
        Durable::WithNext));
    if (!kept) return false;
    if (const auto made = make_directories(folder_of(run_id), 0700); !made)
        log::warning("keeping the instances of " + key_of(job), made.error());
    move_cache(std::filesystem::path(instances.folder).filename().string(), run_id, instances.hosts);
    {
        MutexLock lock(mutex_);
        pools_[job] = Pool{.match = instances.match,
                           .image = instances.image,
                           .demand = instances.demand,
                           .hosts = instances.hosts,
                           .run_id = run_id,
                           .environment = "",
                           .spare = SpareState::None,
                           .since = time,
                           .keep_alive = keep_alive,
                           .claimed_by = std::nullopt};
    }
    changed_.notify_all();
    reserve(job, instances.demand);
    return true;
}

Result<void> RunningWarmPools::keep_nothing(int64_t job) {
    return parts_.database.write(
        [&](Transaction& transaction) -> Result<void> {
            TRY(transaction.run(
                "UPDATE warm_pool SET pool_status='Terminated', pool_retained=0 WHERE job=? AND pool_status='InUse'",
                job));
            return {};
        },
        Durable::WithNext);
}

void RunningWarmPools::stand_ready(int64_t job, WarmSpare spare) {
    {
        MutexLock lock(mutex_);
        const auto found = pools_.find(job);
        if (stopping_ || found == pools_.end() || found->second.claimed_by) return;
        auto& pool = found->second;
        pool.spare = SpareState::Starting;
        pool.environment = spare.environment;
        spare.spec.id = pool.run_id;
    }
    spare.spec.folder = folder_of(spare.spec.id);
    spare.spec.log_files.assign(static_cast<size_t>(spare.spec.hosts), spare.spec.folder + "/unused.log");
    const auto started = parts_.executor.start_spare(spare.spec, *this);
    if (!started) log::warning("starting an interpreter for " + key_of(job), started.error());
    {
        MutexLock lock(mutex_);
        const auto found = pools_.find(job);
        // Meanwhile it may have ended, too.
        if (found != pools_.end() && found->second.spare == SpareState::Starting)
            found->second.spare = started ? SpareState::Ready : SpareState::None;
    }
    changed_.notify_all();
    record("ready", [&](Transaction& transaction) -> Result<void> {
        TRY(transaction.run("UPDATE warm_pool SET pool_environment=? WHERE job=?", spare.environment, job));
        return {};
    });
}

Result<void> RunningWarmPools::set_keep_alive(int64_t job, seconds keep_alive) {
    const auto status = TRY(parts_.database.write([&](Transaction& transaction) -> Result<std::string> {
        const auto row = TRY(transaction.query_one("SELECT pool_status FROM warm_pool WHERE job=?", job));
        if (!row) return not_found("the job has no warm pool");
        TRY(
            transaction.run("UPDATE warm_pool SET pool_keep_alive=? WHERE job=? AND pool_status IN "
                            "('InUse', 'Available')",
                            static_cast<int64_t>(keep_alive.count()), job));
        return row->text(0);
    }));
    if (status != "InUse" && status != "Available")
        return Error{ErrorKind::Conflict, "the warm pool is in status " + status, ""};
    bool over = false;
    {
        MutexLock lock(mutex_);
        const auto found = pools_.find(job);
        if (found == pools_.end()) return {};
        over = found->second.since + keep_alive <= now();
        if (!over) found->second.keep_alive = keep_alive;
    }
    changed_.notify_all();
    if (over) terminate(job, "released");
    return {};
}

Result<std::optional<WarmPoolStatus>> RunningWarmPools::status(int64_t job) {
    return parts_.database.read([&](Connection& connection) -> Result<std::optional<WarmPoolStatus>> {
        const auto row = TRY(connection.query_one(
            "SELECT pool_status, pool_since, pool_retained, pool_reused_by FROM warm_pool WHERE job=?", job));
        if (!row) return std::optional<WarmPoolStatus>();
        return std::optional<WarmPoolStatus>(
            warm_pool_status(row->text(0), row->optional_integer(1), row->optional_integer(2), row->text(3), now()));
    });
}

Result<void> RunningWarmPools::forget(int64_t job) {
    terminate(job, "deleted");
    return parts_.database.write([&](Transaction& transaction) -> Result<void> {
        TRY(transaction.run("DELETE FROM warm_pool WHERE job=?", job));
        return {};
    });
}

// The share of the machine is gone already. A job that has claimed the pool starts as any other.
void RunningWarmPools::yield(int64_t job) {
    std::optional<Pool> claimed;
    {
        MutexLock lock(mutex_);
        const auto found = pools_.find(job);
        if (stopping_ || found == pools_.end()) return;
        if (found->second.claimed_by) {
            claimed = found->second;
            found->second.spare = SpareState::None;
        }
    }
    if (!claimed) return terminate(job, "needed for another job");
    if (claimed->spare == SpareState::Ready) static_cast<void>(parts_.executor.kill(claimed->run_id).has_value());
}

// Of a pool that nobody has claimed. `end`: now.
void RunningWarmPools::terminate(int64_t job, const char* why, std::optional<Timestamp> end) {
    std::optional<Pool> pool;
    {
        MutexLock lock(mutex_);
        while (pools_.contains(job) && pools_.at(job).spare == SpareState::Starting) changed_.wait(mutex_);
        const auto found = pools_.find(job);
        if (found == pools_.end() || found->second.claimed_by) return;
        pool = std::move(found->second);
        pools_.erase(found);
    }
    const auto retained = whole_seconds(pool->since, end.value_or(now()));
    record("terminated", [&](Transaction& transaction) -> Result<void> {
        TRY(transaction.run("UPDATE warm_pool SET pool_status='Terminated', pool_retained=? WHERE job=?", retained,
                            job));
        return {};
    });
    log::info(key_of(job) + " is terminated: " + why);
    parts_.supervisor.release(key_of(job));
    end_spare(*pool);
}

void RunningWarmPools::end_spare(const Pool& pool) {
    if (pool.spare == SpareState::Ready) {
        if (parts_.executor.kill(pool.run_id)) return;  // its end removes the folder
    }
    dispose(pool.run_id);
}

void RunningWarmPools::dispose(const std::string& run_id) {
    {
        MutexLock lock(mutex_);
        ended_.push_back(run_id);
    }
    changed_.notify_all();
}

// A spare has ended: while it waited (its pool goes on without), or because we do not want it any more.
void RunningWarmPools::run_ended(const std::string& id, const RunOutcome&) {
    {
        MutexLock lock(mutex_);
        for (auto& [job, pool] : pools_) {
            if (pool.run_id != id) continue;
            pool.spare = SpareState::None;
            changed_.notify_all();
            return;
        }
        for (const auto& [job, run_id] : taken_)
            if (run_id == id) return;  // the job is about to find out, and removes the folder
    }
    dispose(id);
}

void RunningWarmPools::move_cache(const std::string& from, const std::string& to, int hosts) const {
    for (int host = 0; host < hosts; ++host) {
        const auto name = "algo-" + std::to_string(host + 1);
        const auto source = warm_cache_folder(folder_of(from), name), target = warm_cache_folder(folder_of(to), name);
        if (!file_exists(source)) continue;
        std::error_code failure;
        if (const auto made = make_directories(folder_of(to) + "/" + name, 0700); made)
            std::filesystem::rename(source, target, failure);
        if (failure) log::warning("moving the cache of a warm pool: " + failure.message());
    }
}

void RunningWarmPools::work() {
    for (;;) {
        std::deque<std::string> ended;
        std::vector<std::pair<int64_t, Timestamp>> over;
        {
            MutexLock lock(mutex_);
            for (;;) {
                if (stopping_) return;
                const auto time = now();
                std::optional<Timestamp> next;
                for (const auto& [job, pool] : pools_) {
                    if (pool.claimed_by) continue;
                    if (pool.expiry() <= time)
                        over.emplace_back(job, pool.expiry());
                    else if (!next || pool.expiry() < *next)
                        next = pool.expiry();
                }
                if (!over.empty() || !ended_.empty()) break;
                if (next)
                    changed_.wait_until(mutex_,
                                        std::chrono::steady_clock::now() +
                                            std::min<std::chrono::milliseconds>(*next - time, std::chrono::minutes(1)));
                else
                    changed_.wait(mutex_);
            }
            ended.swap(ended_);
        }
        // What was kept longer than asked for, because no server ran, is nobody's cost.
        for (const auto& [job, expiry] : over) terminate(job, "its time is over", expiry);
        for (const auto& run_id : ended) {
            parts_.executor.clean_up(run_id, folder_of(run_id));
            if (auto removed = remove_tree(folder_of(run_id)); !removed)
                log::warning("removing the files of a spare", removed.error());
        }
    }
}

void RunningWarmPools::shut_down() {
    {
        MutexLock lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

}  // namespace

Result<std::unique_ptr<WarmPools>> WarmPools::open(const std::string& folder, const Parts& parts) {
    auto pools = std::make_unique<RunningWarmPools>(folder, parts);
    TRY(pools->open());
    return std::unique_ptr<WarmPools>(std::move(pools));
}

std::string warm_cache_folder(const std::string& run_folder, const std::string& host) {
    return run_folder + "/" + host + "/warmpoolcache";
}

WarmPoolStatus warm_pool_status(std::string status, std::optional<int64_t> since_ms, std::optional<int64_t> retained,
                                std::string reused_by, Timestamp now) {
    WarmPoolStatus result{std::move(status), retained, std::move(reused_by)};
    if (result.status == "Available" && since_ms)
        result.retained_seconds = whole_seconds(from_epoch_milliseconds(*since_ms), now);
    return result;
}

}  // namespace millwright::resources
