#include "metadata_store/database.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <future>
#include <thread>
#include <utility>

#include "base/blocking.h"
#include "base/files.h"
#include "base/log.h"
#include "base/mutex.h"
#include "metadata_store/read_only.h"
#include "metadata_store/reserve.h"
#include "metadata_store/sqlite_handle.h"

namespace millwright::metadata_store {
namespace {

constexpr size_t kMaxGroup = 256;    // writers that share one commit
constexpr size_t kMaxQueue = 16384;  // writers waiting; more are told to come back
constexpr size_t kMaxIdleReaders = 32;
constexpr uint64_t kFrameBytes = 4096;
constexpr uint64_t kLogFrames = 4096;  // what the log is kept below when settings do not say

class Snapshot final : public Connection {
  public:
    explicit Snapshot(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {}
    Result<std::vector<Row>> query_values(std::string_view sql, const std::vector<Value>& parameters) override {
        return handle_->run(sql, parameters);
    }

  private:
    std::unique_ptr<Handle> handle_;
};

class Reader final : public Connection {
  public:
    explicit Reader(Handle& handle) : handle_(handle) {}
    Result<std::vector<Row>> query_values(std::string_view sql, const std::vector<Value>& parameters) override {
        return handle_.run(sql, parameters);
    }

  private:
    Handle& handle_;
};

class Writer final : public Transaction {
  public:
    explicit Writer(Handle& handle) : handle_(handle) {}
    Result<std::vector<Row>> query_values(std::string_view sql, const std::vector<Value>& parameters) override {
        return handle_.run(sql, parameters);
    }
    Result<int64_t> run_values(std::string_view sql, const std::vector<Value>& parameters) override {
        TRY(handle_.run(sql, parameters));
        return handle_.changes();
    }

  private:
    Handle& handle_;
};

using Work = std::function<Result<void>(Transaction&)>;

struct Pending {
    const Work* work;
    Durable durable;
    Space space;
    std::promise<Result<void>> done;
};

// After a failed write or sync of the log the kernel may have dropped pages that look written, so nothing written from
// here on can be trusted; the next start reads what is there and writes all of it anew.
Error stopped_writing() {
    return {ErrorKind::Unavailable, "The disk of the metadata store failed; nothing is written until a restart.", ""};
}
Error no_room() { return {ErrorKind::LimitExceeded, "The disk is full.", "the metadata store keeps its reserve"}; }

class SqliteDatabase final : public Database {
  public:
    SqliteDatabase(std::string path, const Settings& settings)
        : path_(std::move(path)), settings_(settings), reserve_(folder_of(path_) + "reserve", settings.reserve_bytes) {}

    Result<void> start() {
        // SQLite gives its -wal and -shm files the mode of the database file.
        TRY(open_file(path_, O_RDWR | O_CREAT, 0600));
        const uint64_t frames = settings_.log_bytes > 0 ? settings_.log_bytes / kFrameBytes : kLogFrames;
        copy_at_ = static_cast<int>(std::max<uint64_t>(frames / 4, 16));
        finish_at_ = 2 * copy_at_;
        writer_ = TRY(Handle::open(path_, settings_.vfs));
        keepers_handle_ = TRY(Handle::open(path_, settings_.vfs));
        // What a crash has left in the log may stand behind a sync that failed; in the database it is synced again.
        auto emptied = writer_->checkpoint(Handle::Checkpoint::Truncate);
        if (!emptied && writer_->lost_writes()) return emptied.error();
        if (auto made = preallocate_log(path_ + "-wal", settings_.log_bytes); !made)
            log::warning("metadata store", made.error());
        TRY(writer_->execute(
            "CREATE TABLE IF NOT EXISTS schema_version(component TEXT PRIMARY KEY, version INTEGER NOT NULL)"));
        committer_ = std::jthread([this](const std::stop_token& stop) { commit_loop(stop); });
        keeper_ = std::jthread([this](const std::stop_token& stop) { keep_loop(stop); });
        return {};
    }

    ~SqliteDatabase() override {
        committer_.request_stop();
        keeper_.request_stop();
        work_arrived_.notify_all();
        log_grew_.notify_all();
        if (committer_.joinable()) committer_.join();
        if (keeper_.joinable()) keeper_.join();
        {
            const MutexLock lock(mutex_);
            readers_.clear();
        }
        if (!writer_ || stopped_) return;
        if (auto emptied = writer_->checkpoint(Handle::Checkpoint::Truncate); !emptied)
            log::warning("closing the metadata store", emptied.error());
    }

    Result<void> migrate(std::string_view component, const std::vector<Migration>& steps) override {
        const auto row = TRY(read([&](Connection& c) {
            return c.query_one("SELECT version FROM schema_version WHERE component=?", component);
        }));
        const auto stored = static_cast<size_t>(row ? row->integer(0) : 0);
        if (stored > steps.size())
            return Error{ErrorKind::Conflict,
                         "the data directory was written by a newer Millwright; start that one, or restore a backup",
                         std::string(component) + " has version " + std::to_string(stored) + ", this program knows " +
                             std::to_string(steps.size())};
        for (size_t version = stored; version < steps.size(); ++version)
            TRY(apply(component, steps[version], static_cast<int64_t>(version) + 1));
        return {};
    }

    Result<void> write_void(const Work& work, Durable durable, Space space) override {
        CHECK(std::this_thread::get_id() != committer_.get_id());
        auto pending = std::make_unique<Pending>(Pending{&work, durable, space, {}});
        auto outcome = pending->done.get_future();
        {
            const MutexLock lock(mutex_);
            if (queue_.size() >= kMaxQueue)
                return Error{ErrorKind::Unavailable, "the metadata store is overloaded", ""};
            queue_.push_back(std::move(pending));
        }
        work_arrived_.notify_one();
        const Blocking blocking;
        return outcome.get();
    }

    Result<void> read_void(const std::function<Result<void>(Connection&)>& work) override {
        auto handle = TRY(take_reader());
        TRY(handle->run("BEGIN", {}));
        Reader reader(*handle);
        auto outcome = work(reader);
        TRY(handle->run("COMMIT", {}));
        const MutexLock lock(mutex_);
        if (readers_.size() < kMaxIdleReaders) readers_.push_back(std::move(handle));
        return outcome;
    }

    bool is_low_on_space() override { return reserve_.low(); }

  private:
    static std::string folder_of(const std::string& path) {
        const auto slash = path.rfind('/');
        return slash == std::string::npos ? "" : path.substr(0, slash + 1);
    }

    Result<void> apply(std::string_view component, const Migration& step, int64_t version) {
        // On the committing thread like every write, so nothing else is half done meanwhile. Whatever is written with
        // the new schema comes after it, so the first write that must be safe makes the schema safe too.
        const auto work = [&](Transaction& tx) -> Result<void> {
            TRY(writer_->execute(std::string(step.sql)));
            TRY(
                tx.run("INSERT INTO schema_version(component, version) VALUES(?1,?2) "
                       "ON CONFLICT(component) DO UPDATE SET version=?2",
                       component, version));
            return {};
        };
        return write(work, Durable::WithNext);
    }

    Result<std::unique_ptr<Handle>> take_reader() {
        {
            const MutexLock lock(mutex_);
            if (!readers_.empty()) {
                auto handle = std::move(readers_.back());
                readers_.pop_back();
                return handle;
            }
        }
        return Handle::open(path_, settings_.vfs);
    }

    void commit_loop(const std::stop_token& stop) {
        for (;;) {
            std::vector<std::unique_ptr<Pending>> group;
            {
                const MutexLock lock(mutex_);
                while (queue_.empty() && !stop.stop_requested())
                    work_arrived_.wait_until(mutex_, std::chrono::steady_clock::now() + std::chrono::seconds(1));
                if (queue_.empty()) return;
                while (!queue_.empty() && group.size() < kMaxGroup) {
                    group.push_back(std::move(queue_.front()));
                    queue_.pop_front();
                }
            }
            commit(group);
            watch_log();
        }
    }

    // The log of writes is one file written in order, so the fsync of a later commit covers those before it that had
    // none of their own.
    Result<void> begin(bool sync) {
        if (sync != syncing_) TRY(writer_->execute(sync ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL"));
        syncing_ = sync;
        return writer_->execute("BEGIN IMMEDIATE");
    }

    // Runs each writer in a savepoint of its own, then makes all of them durable with one fsync.
    void commit(std::vector<std::unique_ptr<Pending>>& group) {
        std::vector<Result<void>> outcomes;
        const bool sync = std::any_of(group.begin(), group.end(),
                                      [](const auto& pending) { return pending->durable == Durable::Now; });
        make_room();
        Result<void> done = stopped_ ? Result<void>(stopped_writing()) : begin(sync);
        if (done) {
            for (const auto& pending : group)
                outcomes.push_back(pending->space == Space::Free && reserve_.low() ? no_room()
                                                                                   : run_in_savepoint(*pending->work));
            done = writer_->in_transaction() && !writer_->lost_writes()
                       ? writer_->execute("COMMIT")
                       : Result<void>(internal_error("the transaction was rolled back"));
        }
        const bool full = writer_->take_ran_full();
        if (full) reserve_.release();
        if (done) {
            for (size_t i = 0; i < group.size(); ++i) group[i]->done.set_value(std::move(outcomes[i]));
            return;
        }
        if (writer_->in_transaction()) static_cast<void>(writer_->execute("ROLLBACK").has_value());
        if (writer_->lost_writes()) stop_writing(done.error());
        for (const auto& pending : group) pending->done.set_value(full ? no_room() : done.error());
    }

    Result<void> run_in_savepoint(const Work& work) {
        // A write that fails for want of room may have rolled everything back already.
        if (!writer_->in_transaction()) return internal_error("the transaction was rolled back");
        TRY(writer_->run("SAVEPOINT one", {}));
        Writer transaction(*writer_);
        auto outcome = work(transaction);
        if (!writer_->in_transaction()) return outcome;
        if (!outcome) TRY(writer_->run("ROLLBACK TO one", {}));
        TRY(writer_->run("RELEASE one", {}));
        return outcome;
    }

    // Copying the log into the database is the keeper's work. While writers keep adding to the log it never meets the
    // log's end, and only a log that was copied to its end is written from its beginning again; so the last few frames
    // are copied here, between two commits.
    void watch_log() {
        const int frames = writer_->log_frames();
        if (frames < last_frames_) next_finish_ = finish_at_;
        last_frames_ = frames;
        if (frames >= copy_at_ && !asked_.exchange(true)) log_grew_.notify_one();
        // On a full disk the log's own blocks are all there is, so it is begun anew often.
        if (frames < (is_low_ ? copy_at_ / 4 : std::max(next_finish_, finish_at_))) return;
        next_finish_ = frames + copy_at_ / 2;
        copy_log(*writer_);
    }

    // What is in the log already may need room in the database: when the reserve has just been released, now.
    void make_room() {
        reserve_.look();
        if (reserve_.low() && !is_low_) copy_log(*writer_);
        is_low_ = reserve_.low();
    }

    void copy_log(Handle& handle) {
        if (stopped_) return;
        auto copied = handle.checkpoint(Handle::Checkpoint::Passive);
        if (!copied && handle.lost_writes()) stop_writing(copied.error());
    }

    void keep_loop(const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            {
                const MutexLock lock(keeper_mutex_);
                if (!asked_ && !stop.stop_requested())
                    log_grew_.wait_until(keeper_mutex_, std::chrono::steady_clock::now() + std::chrono::seconds(1));
            }
            const bool was_low = reserve_.low();
            reserve_.look();
            if (!asked_ && was_low == reserve_.low()) continue;
            copy_log(*keepers_handle_);
            asked_ = false;
        }
    }

    void stop_writing(const Error& cause) {
        if (stopped_.exchange(true)) return;
        log::error("the metadata store failed to write to its disk and takes no more writes", cause);
    }

    const std::string path_;
    const Settings settings_;
    Reserve reserve_;
    std::unique_ptr<Handle> writer_;  // committing thread only, after start()
    std::unique_ptr<Handle> keepers_handle_;
    bool syncing_ = true;              // committing thread only: whether a commit of writer_ ends with an fsync
    int copy_at_ = 0, finish_at_ = 0;  // frames in the log: when the keeper copies it, when the committing thread helps
    int last_frames_ = 0, next_finish_ = 0;  // committing thread only
    bool is_low_ = false;                    // committing thread only: what reserve_ said last
    std::atomic<bool> stopped_{false};
    std::atomic<bool> asked_{false};  // the keeper is to copy the log
    Mutex mutex_;
    Condition work_arrived_;
    std::deque<std::unique_ptr<Pending>> queue_ GUARDED_BY(mutex_);
    std::vector<std::unique_ptr<Handle>> readers_ GUARDED_BY(mutex_);
    Mutex keeper_mutex_;
    Condition log_grew_;
    std::jthread committer_, keeper_;
};

}  // namespace

int64_t Row::integer(size_t column) const {
    const Value& value = values_.at(column);
    if (const auto* number = std::get_if<int64_t>(&value)) return *number;
    if (const auto* number = std::get_if<double>(&value)) return static_cast<int64_t>(*number);
    return 0;
}
double Row::real(size_t column) const {
    const Value& value = values_.at(column);
    if (const auto* number = std::get_if<double>(&value)) return *number;
    return static_cast<double>(integer(column));
}
std::string Row::text(size_t column) const {
    const auto* found = std::get_if<std::string>(&values_.at(column));
    return found ? *found : "";
}
std::string Row::take_text(size_t column) {
    auto* found = std::get_if<std::string>(&values_.at(column));
    return found ? std::exchange(*found, {}) : "";
}
std::optional<int64_t> Row::optional_integer(size_t column) const {
    return is_null(column) ? std::nullopt : std::optional(integer(column));
}
std::optional<std::string> Row::optional_text(size_t column) const {
    return is_null(column) ? std::nullopt : std::optional(text(column));
}

Result<std::unique_ptr<Connection>> open_read_only(const std::string& path) {
    if (!file_exists(path)) return not_found("there is no " + path);
    auto handle = TRY(Handle::open_read_only(path));
    return std::unique_ptr<Connection>(std::make_unique<Snapshot>(std::move(handle)));
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path, const Settings& settings) {
    auto database = std::make_unique<SqliteDatabase>(path, settings);
    TRY(database->start());
    return std::unique_ptr<Database>(std::move(database));
}

}  // namespace millwright::metadata_store
