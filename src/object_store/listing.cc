#include <algorithm>
#include <iterator>

#include "base/strings.h"
#include "object_store/properties.h"
#include "object_store/roll_up.h"
#include "object_store/store.h"

namespace millwright::object_store {
namespace {

using metadata_store::Connection;
using metadata_store::Row;

Result<std::vector<ObjectInfo>> fetch_objects(Connection& connection, int64_t bucket, const Position& from,
                                              const std::string& end, size_t count) {
    // Two statements, because SQLite seeks by one lower bound only.
    constexpr std::string_view kAfter =
        "SELECT key, size, etag, modified, storage_class FROM object WHERE bucket=? AND key>? AND key<? ORDER BY key "
        "LIMIT ?";
    constexpr std::string_view kFrom =
        "SELECT key, size, etag, modified, storage_class FROM object WHERE bucket=? AND key>=? AND key<? ORDER BY key "
        "LIMIT ?";
    std::vector<ObjectInfo> objects;
    auto rows = TRY(connection.query(from.inclusive ? kFrom : kAfter, bucket, from.key, end, count));
    objects.reserve(rows.size());
    for (auto& row : rows) {
        ObjectInfo object;
        object.key = row.take_text(0);
        object.size = static_cast<uint64_t>(row.integer(1));
        object.etag = row.take_text(2);
        object.modified = from_epoch_milliseconds(row.integer(3));
        object.storage_class = row.take_text(4);
        objects.push_back(std::move(object));
    }
    return objects;
}

VersionInfo read_version(const Row& row, bool delete_marker) {
    VersionInfo version;
    version.delete_marker = delete_marker;
    version.object.key = row.text(0);
    version.object.version = row.text(1);
    version.object.size = static_cast<uint64_t>(row.integer(3));
    version.object.etag = row.text(4);
    version.object.modified = from_epoch_milliseconds(row.integer(5));
    version.object.storage_class = row.text(6);
    return version;
}

struct ListedVersion {
    std::string key;
    int64_t sequence = 0;
    VersionInfo info;
};

// The rows of both tables from a position on, merged. In Position::id is a sequence.
class VersionRows {
  public:
    VersionRows(Connection& connection, int64_t bucket, std::string end)
        : connection_(connection), bucket_(bucket), end_(std::move(end)) {}

    Result<std::vector<ListedVersion>> fetch(const Position& from, size_t count) {
        // The newest version of the key is behind a position inside it.
        const bool inside = !from.id.empty();
        auto old = TRY(inside ? older(from, count) : std::vector<ListedVersion>());
        if (old.size() < count) {
            auto more = TRY(after(kOld, from, count - old.size()));
            std::move(more.begin(), more.end(), std::back_inserter(old));
        }
        auto current = TRY(after(kCurrent, from, count));
        for (auto& version : current) version.info.latest = true;
        return merge(std::move(current), std::move(old), inside ? from.key : "", count);
    }

  private:
    struct Table {
        std::string_view after, from;
    };
    static constexpr Table kCurrent = {
        "SELECT key, version, sequence, size, etag, modified, storage_class, file FROM object "
        "WHERE bucket=? AND key>? AND key<? ORDER BY key LIMIT ?",
        "SELECT key, version, sequence, size, etag, modified, storage_class, file FROM object "
        "WHERE bucket=? AND key>=? AND key<? ORDER BY key LIMIT ?"};
    static constexpr Table kOld = {
        "SELECT key, version, sequence, size, etag, modified, storage_class, file FROM old_version "
        "WHERE bucket=? AND key>? AND key<? ORDER BY key, sequence DESC LIMIT ?",
        "SELECT key, version, sequence, size, etag, modified, storage_class, file FROM old_version "
        "WHERE bucket=? AND key>=? AND key<? ORDER BY key, sequence DESC LIMIT ?"};

    Result<std::vector<ListedVersion>> after(const Table& table, const Position& from, size_t count) {
        return listed(connection_.query(from.inclusive ? table.from : table.after, bucket_, from.key, end_, count));
    }
    Result<std::vector<ListedVersion>> older(const Position& from, size_t count) {
        return listed(
            connection_.query("SELECT key, version, sequence, size, etag, modified, storage_class, file "
                              "FROM old_version WHERE bucket=? AND key=? AND sequence<? ORDER BY sequence DESC LIMIT ?",
                              bucket_, from.key, parse_int(from.id).value_or(0), count));
    }
    static Result<std::vector<ListedVersion>> listed(const Result<std::vector<Row>>& rows) {
        if (!rows) return rows.error();
        std::vector<ListedVersion> versions;
        versions.reserve(rows->size());
        for (const auto& row : *rows)
            versions.push_back({row.text(0), row.integer(2), read_version(row, row.is_null(7))});
        return versions;
    }
    // `inside`: the key whose newest version is not among them.
    static std::vector<ListedVersion> merge(std::vector<ListedVersion> current, std::vector<ListedVersion> old,
                                            std::string inside, size_t count) {
        std::vector<ListedVersion> merged;
        for (size_t c = 0, o = 0; merged.size() < count && (c < current.size() || o < old.size());) {
            const bool take_current = o == old.size() || (c < current.size() && current[c].key <= old[o].key);
            ListedVersion& next = take_current ? current[c++] : old[o++];
            const std::string& before = merged.empty() ? inside : merged.back().key;
            if (next.key != before) next.info.latest = true;
            merged.push_back(std::move(next));
        }
        return merged;
    }

    Connection& connection_;
    int64_t bucket_;
    std::string end_;
};

struct ListedUpload {
    std::string key;
    UploadInfo info;
};

Result<std::vector<ListedUpload>> fetch_uploads(Connection& connection, int64_t bucket, const Position& from,
                                                const std::string& end, size_t count) {
    constexpr std::string_view kAfterKey =
        "SELECT key, id, initiated, options FROM upload WHERE bucket=? AND key>? AND key<? ORDER BY key, id LIMIT ?";
    constexpr std::string_view kFrom =
        "SELECT key, id, initiated, options FROM upload WHERE bucket=? AND key>=? AND key<? ORDER BY key, id LIMIT ?";
    constexpr std::string_view kAfterUpload =
        "SELECT key, id, initiated, options FROM upload WHERE bucket=? AND (key,id)>(?,?) AND key<? ORDER BY key, id "
        "LIMIT ?";
    const auto rows = TRY(from.inclusive    ? connection.query(kFrom, bucket, from.key, end, count)
                          : from.id.empty() ? connection.query(kAfterKey, bucket, from.key, end, count)
                                            : connection.query(kAfterUpload, bucket, from.key, from.id, end, count));
    std::vector<ListedUpload> uploads;
    for (const auto& row : rows) {
        auto options = TRY(read_options(row.text(3)));
        uploads.push_back(
            {row.text(0), {row.text(1), row.text(0), from_epoch_milliseconds(row.integer(2)), std::move(options)}});
    }
    return uploads;
}

// Of the version a listing goes on after; "" when there is none to go on after.
Result<std::string> sequence_of(Connection& connection, int64_t bucket, const std::string& key,
                                const std::string& version) {
    if (version.empty()) return std::string();
    const auto row =
        TRY(connection.query_one("SELECT sequence FROM object WHERE bucket=?1 AND key=?2 AND version=?3 UNION ALL "
                                 "SELECT sequence FROM old_version WHERE bucket=?1 AND key=?2 AND version=?3",
                                 bucket, key, version));
    return row ? std::to_string(row->integer(0)) : std::string();
}

}  // namespace

Result<ListPage> Store::list(std::string_view bucket, const ListRequest& request) {
    const RollUpRequest wanted{request.prefix, request.delimiter, request.after, {}, request.max_keys};
    const std::string end = end_of_prefix(request.prefix);
    const auto known = TRY(buckets_.find(bucket));
    auto rolled = TRY(database_.read([&](Connection& connection) -> Result<RolledUp<ObjectInfo>> {
        const int64_t id = known->row.id;
        return roll_up<ObjectInfo>(
            wanted, [&](const Position& from, size_t count) { return fetch_objects(connection, id, from, end, count); },
            [](const ObjectInfo&) { return std::string(); });
    }));
    return ListPage{std::move(rolled.items), std::move(rolled.common_prefixes), rolled.truncated,
                    std::move(rolled.last_key)};
}

Result<VersionPage> Store::list_versions(std::string_view bucket, const VersionListRequest& request) {
    const auto known = TRY(buckets_.find(bucket));
    const std::string end = end_of_prefix(request.prefix);
    auto rolled = TRY(database_.read([&](Connection& connection) -> Result<RolledUp<ListedVersion>> {
        const int64_t id = known->row.id;
        const std::string sequence = TRY(sequence_of(connection, id, request.after_key, request.after_version));
        VersionRows rows(connection, id, end);
        return roll_up<ListedVersion>(
            {request.prefix, request.delimiter, request.after_key, sequence, request.max_versions},
            [&](const Position& from, size_t count) { return rows.fetch(from, count); },
            [](const ListedVersion& version) { return std::to_string(version.sequence); });
    }));
    VersionPage page;
    for (auto& version : rolled.items) page.versions.push_back(std::move(version.info));
    page.common_prefixes = std::move(rolled.common_prefixes);
    page.truncated = rolled.truncated;
    page.last_key = std::move(rolled.last_key);
    if (!rolled.last_id.empty()) page.last_version = page.versions.back().object.version;
    return page;
}

Result<UploadPage> Store::list_uploads(std::string_view bucket, const UploadListRequest& request) {
    const RollUpRequest wanted{request.prefix, request.delimiter, request.after_key, request.after_id,
                               request.max_uploads};
    const std::string end = end_of_prefix(request.prefix);
    const auto known = TRY(buckets_.find(bucket));
    auto rolled = TRY(database_.read([&](Connection& connection) -> Result<RolledUp<ListedUpload>> {
        const int64_t id = known->row.id;
        return roll_up<ListedUpload>(
            wanted, [&](const Position& from, size_t count) { return fetch_uploads(connection, id, from, end, count); },
            [](const ListedUpload& upload) { return upload.info.id; });
    }));
    UploadPage page;
    for (auto& upload : rolled.items) page.uploads.push_back(std::move(upload.info));
    page.common_prefixes = std::move(rolled.common_prefixes);
    page.truncated = rolled.truncated;
    page.last_key = std::move(rolled.last_key);
    page.last_id = std::move(rolled.last_id);
    return page;
}

}  // namespace millwright::object_store
