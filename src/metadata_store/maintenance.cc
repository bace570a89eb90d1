#include "metadata_store/maintenance.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/files.h"
#include "metadata_store/sqlite_handle.h"

namespace millwright::metadata_store {
namespace {

constexpr int kPauseMs = 20;
constexpr int kAttempts = 500;  // while somebody changes the mode of the log, which only a starting server does

Result<void> copy_pages(sqlite3* from, sqlite3* to) {
    sqlite3_backup* backup = sqlite3_backup_init(to, "main", from, "main");
    if (backup == nullptr) return internal_error("cannot copy the metadata store", sqlite3_errmsg(to));
    // All pages in one step, which is one transaction of the source: a later step would begin anew after each write.
    int code = SQLITE_BUSY;
    for (int i = 0; i < kAttempts && (code == SQLITE_BUSY || code == SQLITE_LOCKED); ++i) {
        code = sqlite3_backup_step(backup, -1);
        if (code == SQLITE_BUSY || code == SQLITE_LOCKED) sqlite3_sleep(kPauseMs);
    }
    const int finished = sqlite3_backup_finish(backup);
    if (code == SQLITE_DONE && finished == SQLITE_OK) return {};
    const bool full = (code & 0xFF) == SQLITE_FULL;
    return Error{full ? ErrorKind::LimitExceeded : ErrorKind::Internal, "cannot copy the metadata store",
                 sqlite3_errstr(code)};
}

}  // namespace

Result<void> copy_database(const std::string& from, const std::string& to) {
    if (!file_exists(from)) return not_found("there is no " + from);
    const Fd target = TRY(open_file(to, O_RDWR | O_CREAT | O_EXCL, 0600));
    {
        auto source = TRY(Handle::open_read_only(from));
        // The backup begins its own transaction; the one of the handle would only keep the log from being used again.
        TRY(source->execute("COMMIT"));
        sqlite3* copy = nullptr;
        const int opened = sqlite3_open_v2(to.c_str(), &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
        auto copied = opened == SQLITE_OK ? copy_pages(source->raw(), copy)
                                          : Result<void>(internal_error("cannot write " + to, sqlite3_errstr(opened)));
        sqlite3_close(copy);
        TRY(copied);
    }
    if (::fsync(target.get()) != 0) return error_from_errno("cannot sync " + to);
    return {};
}

Result<std::vector<std::string>> check_database(const std::string& path) {
    if (!file_exists(path)) return not_found("there is no " + path);
    const auto handle = TRY(Handle::open_read_only(path));
    std::vector<std::string> wrong;
    for (const auto& row : TRY(handle->run("PRAGMA integrity_check(100)", {})))
        if (row.text(0) != "ok") wrong.push_back(row.text(0));
    for (const auto& row : TRY(handle->run("PRAGMA foreign_key_check", {})))
        if (wrong.size() < 100) wrong.push_back("a row of " + row.text(0) + " refers to nothing in " + row.text(2));
    return wrong;
}

}  // namespace millwright::metadata_store
