#include "metadata_store/sqlite_handle.h"

namespace millwright::metadata_store {
namespace {

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

void bind(sqlite3_stmt* statement, int index, const Value& value) {
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

Row read_row(sqlite3_stmt* statement) {
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
                values.emplace_back(std::in_place_type<std::string>, bytes ? bytes : "",
                                    static_cast<size_t>(sqlite3_column_bytes(statement, i)));
            }
        }
    }
    return Row(std::move(values));
}

bool loses_writes(int code) {
    if ((code & 0xFF) != SQLITE_IOERR) return false;
    return code != SQLITE_IOERR_READ && code != SQLITE_IOERR_SHORT_READ && code != SQLITE_IOERR_NOMEM;
}

}  // namespace

Error Handle::failure(std::string_view what) {
    const int code = sqlite3_extended_errcode(db_);
    lost_writes_ = lost_writes_ || loses_writes(code);
    ran_full_ = ran_full_ || (code & 0xFF) == SQLITE_FULL;
    return {kind_of(code), "metadata store: " + std::string(what), sqlite3_errmsg(db_)};
}

Result<std::unique_ptr<Handle>> Handle::open(const std::string& path, const std::string& vfs) {
    auto handle = std::make_unique<Handle>();
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path.c_str(), &handle->db_, flags, vfs.empty() ? nullptr : vfs.c_str()) != SQLITE_OK)
        return handle->failure("cannot open " + path);
    sqlite3_extended_result_codes(handle->db_, 1);
    sqlite3_busy_timeout(handle->db_, kBusyTimeoutMs);
    // After a failed sync the log is all there is, so nobody may drop it by closing the last connection.
    sqlite3_db_config(handle->db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    // FULL: an acknowledged row survives a power cut. NORMAL does not promise that in WAL mode.
    TRY(handle->execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"));
    // In the place of the automatic checkpoint, which would make a commit wait.
    sqlite3_wal_hook(
        handle->db_,
        [](void* self, sqlite3*, const char*, int frames) {
            static_cast<Handle*>(self)->log_frames_ = frames;
            return SQLITE_OK;
        },
        handle.get());
    return handle;
}

Result<std::unique_ptr<Handle>> Handle::open_read_only(const std::string& path) {
    auto handle = std::make_unique<Handle>();
    if (sqlite3_open_v2(path.c_str(), &handle->db_, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK)
        return handle->failure("cannot open " + path);
    sqlite3_extended_result_codes(handle->db_, 1);
    sqlite3_busy_timeout(handle->db_, kBusyTimeoutMs);
    TRY(handle->execute("BEGIN"));
    return handle;
}

Handle::~Handle() {
    for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
    sqlite3_close(db_);
}

Result<void> Handle::execute(const std::string& sql) {
    if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
        return failure("cannot execute " + sql.substr(0, 60));
    return {};
}

Result<std::vector<Row>> Handle::run(std::string_view sql, const std::vector<Value>& parameters) {
    sqlite3_stmt* statement = TRY(prepared(sql));
    for (size_t i = 0; i < parameters.size(); ++i) bind(statement, static_cast<int>(i) + 1, parameters[i]);
    std::vector<Row> rows;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) rows.push_back(read_row(statement));
    std::optional<Error> failed;
    if (code != SQLITE_DONE) failed = failure(sql.substr(0, 80));
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    if (failed) return *failed;
    return rows;
}

Result<Handle::LogState> Handle::checkpoint(Checkpoint mode) {
    LogState state;
    const int how = mode == Checkpoint::Passive ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_TRUNCATE;
    if (sqlite3_wal_checkpoint_v2(db_, "main", how, &state.frames, &state.copied) != SQLITE_OK)
        return failure("cannot copy the log of writes into the database");
    return state;
}

Result<sqlite3_stmt*> Handle::prepared(std::string_view sql) {
    if (const auto found = statements_.find(std::string(sql)); found != statements_.end()) return found->second;
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement,
                           nullptr) != SQLITE_OK)
        return failure("cannot prepare " + std::string(sql));
    statements_.emplace(sql, statement);
    return statement;
}

}  // namespace millwright::metadata_store
