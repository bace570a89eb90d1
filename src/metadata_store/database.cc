#include "metadata_store/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <future>
#include <thread>
#include <unordered_map>

#include "base/files.h"
#include "base/log.h"
#include "base/mutex.h"
#include "metadata_store/read_only.h"

namespace millwright::metadata_store {
namespace {

constexpr size_t kMaxGroup = 256;    // writers that share one commit
constexpr size_t kMaxQueue = 16384;  // writers waiting; more are told to come back
constexpr size_t kMaxIdleReaders = 32;
constexpr int kBusyTimeoutMs = 10'000;  // only checkpoints and migrations ever make anyone wait

ErrorKind kind_of(int code) {
    switch (code & 0xFF) {
        case SQLITE_CONSTRAINT:
            return code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ? ErrorKind::AlreadyExists
                                                                                            : ErrorKind::Internal;
        case SQLITE_FULL:
            return ErrorKind::LimitExceeded;
        case SQLITE_BUSY:
            return ErrorKind::Unavailable;
        default:
            return ErrorKind::Internal;
    }
}

Error error_of(sqlite3* handle, std::string_view what) {
    const int code = sqlite3_extended_errcode(handle);
    return {kind_of(code), "metadata store: " + std::string(what), sqlite3_errmsg(handle)};
}

// One SQLite handle with its prepared statements.
class Handle {
  public:
    static Result<std::unique_ptr<Handle>> open(const std::string& path) {
        auto handle = std::make_unique<Handle>();
        const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
        if (sqlite3_open_v2(path.c_str(), &handle->db_, flags, nullptr) != SQLITE_OK)
            return error_of(handle->db_, "cannot open " + path);
        sqlite3_extended_result_codes(handle->db_, 1);
        sqlite3_busy_timeout(handle->db_, kBusyTimeoutMs);
        // FULL: an acknowledged row survives a power cut. NORMAL does not promise that in WAL mode.
        TRY(handle->execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"));
        return handle;
    }
    // One that cannot write and has begun to read.
    static Result<std::unique_ptr<Handle>> open_read_only(const std::string& path) {
        auto handle = std::make_unique<Handle>();
        if (sqlite3_open_v2(path.c_str(), &handle->db_, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nullptr) !=
            SQLITE_OK)
            return error_of(handle->db_, "cannot open " + path);
        sqlite3_extended_result_codes(handle->db_, 1);
        sqlite3_busy_timeout(handle->db_, kBusyTimeoutMs);
        TRY(handle->execute("BEGIN"));
        return handle;
    }
    Handle() = default;
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle() {
        for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
        sqlite3_close(db_);
    }

    Result<void> execute(const std::string& sql) {
        if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
            return error_of(db_, "cannot execute " + sql.substr(0, 60));
        return {};
    }

    // Runs one statement to its end and collects its rows.
    Result<std::vector<Row>> run(std::string_view sql, const std::vector<Value>& parameters) {
        sqlite3_stmt* statement = TRY(prepared(sql));
        for (size_t i = 0; i < parameters.size(); ++i) bind(statement, static_cast<int>(i) + 1, parameters[i]);
        std::vector<Row> rows;
        int code;
        while ((code = sqlite3_step(statement)) == SQLITE_ROW) rows.push_back(read_row(statement));
        std::optional<Error> failure;
        if (code != SQLITE_DONE) failure = error_of(db_, sql.substr(0, 80));
        sqlite3_reset(statement);
        sqlite3_clear_bindings(statement);
        if (failure) return *failure;
        return rows;
    }
    int64_t changes() const { return sqlite3_changes64(db_); }
    bool in_transaction() const { return sqlite3_get_autocommit(db_) == 0; }
    int last_code() const { return sqlite3_extended_errcode(db_); }

  private:
    Result<sqlite3_stmt*> prepared(std::string_view sql) {
        if (const auto found = statements_.find(std::string(sql)); found != statements_.end()) return found->second;
        sqlite3_stmt* statement = nullptr;
        if (sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement,
                               nullptr) != SQLITE_OK)
            return error_of(db_, "cannot prepare " + std::string(sql));
        statements_.emplace(sql, statement);
        return statement;
    }

    static void bind(sqlite3_stmt* statement, int index, const Value& value) {
        if (const auto* number = std::get_if<int64_t>(&value))
            sqlite3_bind_int64(statement, index, *number);
        else if (const auto* real = std::get_if<double>(&value))
            sqlite3_bind_double(statement, index, *real);
        else if (const auto* blob = std::get_if<Blob>(&value))
            sqlite3_bind_blob64(statement, index, blob->bytes.data(), blob->bytes.size(), SQLITE_STATIC);
        else if (const auto* text = std::get_if<std::string>(&value))
            sqlite3_bind_text64(statement, index, text->data(), text->size(), SQLITE_STATIC, SQLITE_UTF8);
        else
            sqlite3_bind_null(statement, index);
    }

    static Row read_row(sqlite3_stmt* statement) {
        std::vector<Value> values;
        const int count = sqlite3_column_count(statement);
        values.reserve(static_cast<size_t>(count));
        for (int i = 0; i < count; ++i) {
            switch (sqlite3_column_type(statement, i)) {
                case SQLITE_NULL:
                    values.emplace_back();
                    break;
                case SQLITE_INTEGER:
                    values.emplace_back(int64_t{sqlite3_column_int64(statement, i)});
                    break;
                case SQLITE_FLOAT:
                    values.emplace_back(sqlite3_column_double(statement, i));
                    break;
                default: {
                    const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement, i));
                    values.emplace_back(
                        std::string(bytes ? bytes : "", static_cast<size_t>(sqlite3_column_bytes(statement, i))));
                }
            }
        }
        return Row(std::move(values));
    }

    sqlite3* db_ = nullptr;
    std::unordered_map<std::string, sqlite3_stmt*> statements_;
};

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
    std::promise<Result<void>> done;
};

class SqliteDatabase final : public Database {
  public:
    explicit SqliteDatabase(std::string path) : path_(std::move(path)) {}

    Result<void> start() {
        // SQLite gives its -wal and -shm files the mode of the database file.
        TRY(open_file(path_, O_RDWR | O_CREAT, 0600));
        writer_ = TRY(Handle::open(path_));
        TRY(writer_->execute(
            "CREATE TABLE IF NOT EXISTS schema_version(component TEXT PRIMARY KEY, version INTEGER NOT NULL)"));
        committer_ = std::jthread([this](const std::stop_token& stop) { commit_loop(stop); });
        return {};
    }

    ~SqliteDatabase() override {
        committer_.request_stop();
        work_arrived_.notify_all();
        if (committer_.joinable()) committer_.join();
    }

    Result<void> migrate(std::string_view component, const std::vector<Migration>& steps) override {
        const auto row = TRY(read([&](Connection& c) {
            return c.query_one("SELECT version FROM schema_version WHERE component=?", component);
        }));
        const auto stored = static_cast<size_t>(row ? row->integer(0) : 0);
        if (stored > steps.size())
            return Error{ErrorKind::Conflict, "the data directory was written by a newer Millwright",
                         std::string(component) + " has version " + std::to_string(stored)};
        for (size_t version = stored; version < steps.size(); ++version)
            TRY(apply(component, steps[version], static_cast<int64_t>(version) + 1));
        return {};
    }

    Result<void> write_void(const Work& work, Durable durable, Space space) override {
        static_cast<void>(space);
        CHECK(std::this_thread::get_id() != committer_.get_id());
        auto pending = std::make_unique<Pending>(Pending{&work, durable, {}});
        auto outcome = pending->done.get_future();
        {
            const MutexLock lock(mutex_);
            if (queue_.size() >= kMaxQueue)
                return Error{ErrorKind::Unavailable, "the metadata store is overloaded", ""};
            queue_.push_back(std::move(pending));
        }
        work_arrived_.notify_one();
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

  private:
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
        return Handle::open(path_);
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
        Result<void> begun = broken_ ? Result<void>(*broken_) : begin(sync);
        if (begun) {
            for (const auto& pending : group) outcomes.push_back(run_in_savepoint(*pending->work));
            begun = writer_->in_transaction() ? writer_->execute("COMMIT")
                                              : Result<void>(internal_error("the transaction was rolled back"));
        }
        if (!begun) {
            const int code = writer_->last_code();
            if (writer_->in_transaction()) static_cast<void>(writer_->execute("ROLLBACK").has_value());
            // After a failed fsync the kernel may have dropped the pages: nothing written from here on can be trusted.
            if (!broken_ && (code & 0xFF) == SQLITE_IOERR) {
                broken_ = Error{ErrorKind::Internal, "the metadata store failed to write to disk and stopped",
                                begun.error().detail};
                log::error("metadata store", *broken_);
            }
            for (const auto& pending : group) pending->done.set_value(begun.error());
            return;
        }
        for (size_t i = 0; i < group.size(); ++i) group[i]->done.set_value(std::move(outcomes[i]));
    }

    Result<void> run_in_savepoint(const Work& work) {
        TRY(writer_->run("SAVEPOINT one", {}));
        Writer transaction(*writer_);
        auto outcome = work(transaction);
        if (!outcome) TRY(writer_->run("ROLLBACK TO one", {}));
        TRY(writer_->run("RELEASE one", {}));
        return outcome;
    }

    const std::string path_;
    std::unique_ptr<Handle> writer_;  // committing thread only, after start()
    bool syncing_ = true;             // committing thread only: whether a commit of writer_ ends with an fsync
    std::optional<Error> broken_;     // committing thread only
    Mutex mutex_;
    Condition work_arrived_;
    std::deque<std::unique_ptr<Pending>> queue_ GUARDED_BY(mutex_);
    std::vector<std::unique_ptr<Handle>> readers_ GUARDED_BY(mutex_);
    std::jthread committer_;
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
    static_cast<void>(settings);
    auto database = std::make_unique<SqliteDatabase>(path);
    TRY(database->start());
    return std::unique_ptr<Database>(std::move(database));
}

}  // namespace millwright::metadata_store
