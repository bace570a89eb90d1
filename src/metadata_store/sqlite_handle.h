// One SQLite connection with its prepared statements: the only user of sqlite3.h beside maintenance.cc.
#pragma once

#include <sqlite3.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "metadata_store/database.h"

namespace millwright::metadata_store {

// Used by one thread at a time. Nothing is copied from the log into the database when it is closed: whoever closes the
// database says so by checkpoint().
class Handle {
  public:
    // `vfs` is the name of a SQLite VFS, "" for the usual one.
    static Result<std::unique_ptr<Handle>> open(const std::string& path, const std::string& vfs);
    // One that cannot write and has begun to read.
    static Result<std::unique_ptr<Handle>> open_read_only(const std::string& path);
    Handle() = default;
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle();

    Result<void> execute(const std::string& sql);
    // Runs one statement to its end and collects its rows.
    Result<std::vector<Row>> run(std::string_view sql, const std::vector<Value>& parameters);
    int64_t changes() const { return sqlite3_changes64(db_); }
    bool in_transaction() const { return sqlite3_get_autocommit(db_) == 0; }
    // A write or a sync has failed, ever: what lies on disk is not known any more.
    bool lost_writes() const { return lost_writes_; }
    // Whether a write has failed for want of room since the last call.
    bool take_ran_full() { return std::exchange(ran_full_, false); }

    // Copies the log of writes into the database. Passive: as much as is possible without making anybody wait;
    // otherwise all, and the log is empty afterwards.
    enum class Checkpoint { Passive, Truncate };
    struct LogState {
        int frames = 0, copied = 0;
    };
    Result<LogState> checkpoint(Checkpoint mode);
    // How many frames the log had after the last commit of this connection.
    int log_frames() const { return log_frames_; }
    sqlite3* raw() const { return db_; }

  private:
    Result<sqlite3_stmt*> prepared(std::string_view sql);
    Error failure(std::string_view what);

    sqlite3* db_ = nullptr;
    int log_frames_ = 0;
    bool lost_writes_ = false, ran_full_ = false;
    std::unordered_map<std::string, sqlite3_stmt*> statements_;
};

}  // namespace millwright::metadata_store
