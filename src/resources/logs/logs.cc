#include "resources/logs/logs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <tuple>

#include "base/files.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "resources/logs/stream_reader.h"

namespace millwright::resources {
namespace {

using metadata_store::Connection;
using metadata_store::Database;
using metadata_store::Durable;
using metadata_store::Row;
using metadata_store::Transaction;

const std::vector<metadata_store::Migration> kSchema = {
    {"logs 1: groups and streams",
     "CREATE TABLE log_group(id INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, name TEXT "
     "NOT NULL, "
     "created_ms INTEGER NOT NULL, UNIQUE(account, region, name));"
     "CREATE TABLE log_stream(id INTEGER PRIMARY KEY, group_id INTEGER NOT NULL REFERENCES log_group(id), "
     "name TEXT NOT NULL, "
     "created_ms INTEGER NOT NULL, file TEXT NOT NULL, owned_by_job INTEGER NOT NULL, UNIQUE(group_id, "
     "name));"},
};

constexpr std::string_view kStreamColumns = "SELECT id, name, created_ms, file, owned_by_job FROM log_stream ";

Error no_group() { return {ErrorKind::NotFound, "The specified log group does not exist.", "group"}; }
Error no_stream() { return {ErrorKind::NotFound, "The specified log stream does not exist.", "stream"}; }

// The smallest text after everything that begins with `prefix`: names are UTF-8, where this byte does not
// occur.
std::string end_of_prefix(std::string_view prefix) { return std::string(prefix) + '\xff'; }

class StoredLogs : public Logs {
  public:
    StoredLogs(std::string folder, Database& database, const Clock& clock, Random& random)
        : folder_(std::move(folder)), database_(database), clock_(clock), random_(random) {}

    Result<std::string> open_job_stream(const StreamName& name) override;
    Result<void> create_group(const GroupName& name) override;
    Result<void> create_stream(const StreamName& name) override;
    Result<void> delete_group(const GroupName& name) override;
    Result<void> delete_stream(const StreamName& name) override;
    Result<LogGroup> find_group(const GroupName& name) override;
    Result<LogStream> find_stream(const StreamName& name) override;
    Result<LogPage<LogGroup>> list_groups(std::string_view account, std::string_view region,
                                          const LogGroupQuery& query) override;
    Result<LogPage<LogStream>> list_streams(const GroupName& name, const LogStreamQuery& query) override;
    Result<void> put_events(const StreamName& name, const std::vector<PutEvent>& events) override;
    Result<SearchPage> search(const GroupName& name, const SearchQuery& query) override;

    Result<EventPage> events_from(const LogStream& stream, std::optional<uint64_t> position, const TimeRange& range,
                                  size_t limit) override {
        return read_page_from(stream.path, position, range, limit);
    }
    Result<EventPage> events_before(const LogStream& stream, std::optional<uint64_t> position, const TimeRange& range,
                                    size_t limit) override {
        return read_page_before(stream.path, position, range, limit);
    }

  private:
    struct OpenStream {
        Fd fd;
        int64_t last_ms;
    };

    int64_t now_ms() const { return to_epoch_milliseconds(clock_.now()); }
    std::string new_file_name() { return random_.hex(2) + "/" + random_.hex(32) + ".log"; }
    std::string path_of(const std::string& file) const { return folder_ + "/" + file; }

    Mutex& append_lock(const LogStream& stream) {
        return append_locks_[static_cast<size_t>(stream.id) % append_locks_.size()];
    }
    void remove_files(const std::vector<LogStream>& streams);

    Result<int64_t> group_id(Connection& connection, const GroupName& name) const;
    Result<std::optional<LogStream>> load_stream(Connection& connection, const StreamName& name) const;
    LogStream stream_of(const Row& row) const;
    Result<std::vector<LogStream>> load_streams(const GroupName& name, const LogStreamQuery& query, size_t limit);
    Result<LogPage<LogStream>> list_by_last_event(const GroupName& name, const LogStreamQuery& query);
    Result<OpenStream> open_for_appending(const std::string& path) const;

    const std::string folder_;
    Database& database_;
    const Clock& clock_;
    Random& random_;
    // One writer per stream; streams share locks by id.
    std::array<Mutex, 64> append_locks_;
};

Result<void> fill_times(LogStream& stream) {
    stream.first_event_ms = TRY(first_event_time(stream.path));
    stream.last_event_ms = TRY(last_event_time(stream.path));
    return {};
}

LogStream StoredLogs::stream_of(const Row& row) const {
    LogStream stream;
    stream.id = row.integer(0);
    stream.name = row.text(1);
    stream.created_ms = row.integer(2);
    stream.path = path_of(row.text(3));
    stream.owned_by_job = row.integer(4) != 0;
    return stream;
}

Result<int64_t> StoredLogs::group_id(Connection& connection, const GroupName& name) const {
    const auto row = TRY(connection.query_one("SELECT id FROM log_group WHERE account=? AND region=? AND name=?",
                                              name.account, name.region, name.group));
    if (!row) return no_group();
    return row->integer(0);
}

Result<std::optional<LogStream>> StoredLogs::load_stream(Connection& connection, const StreamName& name) const {
    const int64_t group = TRY(group_id(connection, {name.account, name.region, name.group}));
    const auto row =
        TRY(connection.query_one(std::string(kStreamColumns) + "WHERE group_id=? AND name=?", group, name.stream));
    return row ? std::optional(stream_of(*row)) : std::nullopt;
}

Result<std::string> StoredLogs::open_job_stream(const StreamName& name) {
    const auto known = TRY(database_.read([&](Connection& connection) -> Result<std::optional<LogStream>> {
        auto found = load_stream(connection, name);
        if (!found && found.error().kind == ErrorKind::NotFound) return std::optional<LogStream>();
        return found;
    }));
    if (known && known->owned_by_job && file_exists(known->path)) return known->path;
    const int64_t now = now_ms();
    const std::string file = new_file_name();
    const std::string path = TRY(database_.write(
        [&](Transaction& transaction) -> Result<std::string> {
            TRY(
                transaction.run("INSERT INTO log_group(account, region, name, created_ms) VALUES(?,?,?,?) "
                                "ON CONFLICT(account, region, name) DO NOTHING",
                                name.account, name.region, name.group, now));
            const int64_t group = TRY(group_id(transaction, {name.account, name.region, name.group}));
            TRY(transaction.run(
                "INSERT INTO log_stream(group_id, name, created_ms, file, owned_by_job) VALUES(?,?,?,?,1) "
                "ON CONFLICT(group_id, name) DO UPDATE SET owned_by_job=1",
                group, name.stream, now, file));
            return TRY(load_stream(transaction, name)).value().path;
        },
        Durable::WithNext));
    TRY(make_directories(path.substr(0, path.rfind('/')), 0700));
    TRY(open_file(path, O_WRONLY | O_CREAT | O_APPEND, 0600));
    return path;
}

Result<void> StoredLogs::create_group(const GroupName& name) {
    return database_.write([&](Transaction& transaction) -> Result<void> {
        TRY(transaction.run("INSERT INTO log_group(account, region, name, created_ms) VALUES(?,?,?,?)", name.account,
                            name.region, name.group, now_ms()));
        return {};
    });
}

Result<void> StoredLogs::create_stream(const StreamName& name) {
    const std::string file = new_file_name();
    return database_.write([&](Transaction& transaction) -> Result<void> {
        const int64_t group = TRY(group_id(transaction, {name.account, name.region, name.group}));
        TRY(transaction.run("INSERT INTO log_stream(group_id, name, created_ms, file, owned_by_job) VALUES(?,?,?,?,0)",
                            group, name.stream, now_ms(), file));
        return {};
    });
}

Result<void> StoredLogs::delete_group(const GroupName& name) {
    const auto deleted = TRY(database_.write([&](Transaction& transaction) -> Result<std::vector<LogStream>> {
        const int64_t group = TRY(group_id(transaction, name));
        std::vector<LogStream> streams;
        for (const auto& row : TRY(transaction.query(std::string(kStreamColumns) + "WHERE group_id=?", group)))
            streams.push_back(stream_of(row));
        TRY(transaction.run("DELETE FROM log_stream WHERE group_id=?", group));
        TRY(transaction.run("DELETE FROM log_group WHERE id=?", group));
        return streams;
    }));
    remove_files(deleted);
    return {};
}

Result<void> StoredLogs::delete_stream(const StreamName& name) {
    const auto deleted = TRY(database_.write([&](Transaction& transaction) -> Result<LogStream> {
        auto stream = TRY(load_stream(transaction, name));
        if (!stream) return no_stream();
        TRY(transaction.run("DELETE FROM log_stream WHERE id=?", stream->id));
        return std::move(*stream);
    }));
    remove_files({deleted});
    return {};
}

// After their rows: a file without a row is only garbage, a row without its file would be a loss. A writer
// checks the row under the same lock, so it cannot bring a file back.
void StoredLogs::remove_files(const std::vector<LogStream>& streams) {
    for (const LogStream& stream : streams) {
        const MutexLock lock(append_lock(stream));
        ::unlink(stream.path.c_str());
    }
}

Result<LogGroup> StoredLogs::find_group(const GroupName& name) {
    return database_.read([&](Connection& connection) -> Result<LogGroup> {
        const auto row = TRY(
            connection.query_one("SELECT id, name, created_ms FROM log_group WHERE account=? AND region=? AND name=?",
                                 name.account, name.region, name.group));
        if (!row) return no_group();
        return LogGroup{row->integer(0), row->text(1), row->integer(2)};
    });
}

Result<LogStream> StoredLogs::find_stream(const StreamName& name) {
    return database_.read([&](Connection& connection) -> Result<LogStream> {
        auto stream = TRY(load_stream(connection, name));
        if (!stream) return no_stream();
        return std::move(*stream);
    });
}

Result<LogPage<LogGroup>> StoredLogs::list_groups(std::string_view account, std::string_view region,
                                                  const LogGroupQuery& query) {
    // Groups are few (one per kind of job, endpoint or function), so names are matched here rather than in
    // SQL.
    const auto rows = TRY(database_.read([&](Connection& connection) {
        return connection.query(
            "SELECT id, name, created_ms FROM log_group WHERE account=? AND region=? AND name>? AND name>=? "
            "AND name<? ORDER BY name",
            account, region, query.after, query.prefix, end_of_prefix(query.prefix));
    }));
    LogPage<LogGroup> page;
    const std::string contained = to_lower(query.contained);
    for (const Row& row : rows) {
        if (to_lower(row.text(1)).find(contained) == std::string::npos) continue;
        page.more = page.items.size() == query.limit;
        if (page.more) break;
        page.items.push_back({row.integer(0), row.text(1), row.integer(2)});
    }
    return page;
}

Result<std::vector<LogStream>> StoredLogs::load_streams(const GroupName& name, const LogStreamQuery& query,
                                                        size_t limit) {
    const auto after = query.order == LogStreamQuery::Order::Name ? query.after_name : std::nullopt;
    std::string sql = std::string(kStreamColumns) + "WHERE group_id=? AND name>=? AND name<? AND name";
    sql += query.descending ? "<? ORDER BY name DESC LIMIT ?" : ">? ORDER BY name LIMIT ?";
    const std::string border = after.value_or(query.descending ? end_of_prefix(query.prefix) : "");
    return database_.read([&](Connection& connection) -> Result<std::vector<LogStream>> {
        const int64_t group = TRY(group_id(connection, name));
        std::vector<LogStream> streams;
        for (const auto& row : TRY(connection.query(sql, group, query.prefix, end_of_prefix(query.prefix), border,
                                                    static_cast<uint64_t>(limit))))
            streams.push_back(stream_of(row));
        return streams;
    });
}

Result<LogPage<LogStream>> StoredLogs::list_streams(const GroupName& name, const LogStreamQuery& query) {
    if (query.order == LogStreamQuery::Order::LastEvent) return list_by_last_event(name, query);
    LogPage<LogStream> page;
    page.items = TRY(load_streams(name, query, query.limit + 1));
    page.more = page.items.size() > query.limit;
    if (page.more) page.items.pop_back();
    for (LogStream& stream : page.items) TRY(fill_times(stream));
    return page;
}

// The times are in the files only, so all streams of the group are looked at: two small reads for each.
Result<LogPage<LogStream>> StoredLogs::list_by_last_event(const GroupName& name, const LogStreamQuery& query) {
    auto streams = TRY(load_streams(name, query, INT64_MAX));
    for (LogStream& stream : streams) TRY(fill_times(stream));
    const auto before = [&](int64_t time_a, const std::string& name_a, int64_t time_b, const std::string& name_b) {
        return query.descending ? std::tie(time_b, name_b) < std::tie(time_a, name_a)
                                : std::tie(time_a, name_a) < std::tie(time_b, name_b);
    };
    std::sort(streams.begin(), streams.end(), [&](const LogStream& a, const LogStream& b) {
        return before(a.last_event_ms.value_or(0), a.name, b.last_event_ms.value_or(0), b.name);
    });
    LogPage<LogStream> page;
    for (LogStream& stream : streams) {
        if (query.after_name &&
            !before(query.after_ms, *query.after_name, stream.last_event_ms.value_or(0), stream.name))
            continue;
        page.more = page.items.size() == query.limit;
        if (page.more) break;
        page.items.push_back(std::move(stream));
    }
    return page;
}

// Ready to append: without the torn line that a crash may have left.
Result<StoredLogs::OpenStream> StoredLogs::open_for_appending(const std::string& path) const {
    OpenStream stream;
    const std::string parent = path.substr(0, path.rfind('/'));
    const bool is_new = !file_exists(path);
    if (is_new) TRY(make_directories(parent, 0700));
    stream.fd = TRY(open_file(path, O_WRONLY | O_CREAT | O_APPEND, 0600));
    if (is_new) {
        TRY(sync_directory(parent));
        TRY(sync_directory(folder_));
    }
    if (ftruncate(stream.fd.get(), static_cast<off_t>(TRY(end_of_events(path)))) != 0)
        return error_from_errno("cannot repair a log stream");
    stream.last_ms = TRY(last_event_time(path)).value_or(0);
    return stream;
}

Result<void> StoredLogs::put_events(const StreamName& name, const std::vector<PutEvent>& events) {
    const LogStream stream = TRY(find_stream(name));
    if (stream.owned_by_job) return Error{ErrorKind::Conflict, "the log stream is written by a job", name.stream};
    const MutexLock lock(append_lock(stream));
    // It may have been deleted while we waited; then its file must not come back.
    if (TRY(find_stream(name)).path != stream.path) return no_stream();
    OpenStream file = TRY(open_for_appending(stream.path));
    std::string bytes;
    for (const PutEvent& event : events) {
        file.last_ms = std::max(file.last_ms, event.time_ms);
        append_event(bytes, file.last_ms, event.message);
    }
    struct stat before {};
    if (fstat(file.fd.get(), &before) != 0) return error_from_errno("cannot examine a log stream");
    auto outcome = write_all(file.fd.get(), bytes);
    if (outcome && fdatasync(file.fd.get()) != 0) outcome = error_from_errno("cannot sync a log stream");
    // All or nothing: a full disk must not leave half a batch that the client will send again.
    if (!outcome && ftruncate(file.fd.get(), before.st_size) != 0)
        return error_from_errno("cannot undo a failed append");
    return outcome;
}

Result<SearchPage> StoredLogs::search(const GroupName& name, const SearchQuery& query) {
    if (query.streams.empty()) {
        LogStreamQuery all;
        all.prefix = query.prefix;
        return search_streams(TRY(load_streams(name, all, INT64_MAX)), query);
    }
    std::vector<LogStream> streams;
    const std::set<std::string> names(query.streams.begin(), query.streams.end());
    for (const std::string& stream : names)
        streams.push_back(TRY(find_stream({name.account, name.region, name.group, stream})));
    return search_streams(streams, query);
}

}  // namespace

Result<std::unique_ptr<Logs>> Logs::open(const std::string& folder, Database& database, const Clock& clock,
                                         Random& random) {
    TRY(make_directories(folder, 0700));
    TRY(database.migrate("logs", kSchema));
    return std::unique_ptr<Logs>(std::make_unique<StoredLogs>(folder, database, clock, random));
}

}  // namespace millwright::resources
