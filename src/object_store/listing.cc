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
    for (const auto& row : TRY(connection.query(from.inclusive ? kFrom : kAfter, bucket, from.key, end, count))) {
        ObjectInfo object;
        object.key = row.text(0);
        object.size = static_cast<uint64_t>(row.integer(1));
        object.etag = row.text(2);
        object.modified = from_epoch_milliseconds(row.integer(3));
        object.storage_class = row.text(4);
        objects.push_back(std::move(object));
    }
    return objects;
}

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

}  // namespace

Result<ListPage> Store::list(std::string_view bucket, const ListRequest& request) {
    const RollUpRequest wanted{request.prefix, request.delimiter, request.after, {}, request.max_keys};
    const std::string end = end_of_prefix(request.prefix);
    auto rolled = TRY(database_.read([&](Connection& connection) -> Result<RolledUp<ObjectInfo>> {
        const int64_t id = TRY(bucket_id(connection, bucket));
        return roll_up<ObjectInfo>(
            wanted, [&](const Position& from, size_t count) { return fetch_objects(connection, id, from, end, count); },
            [](const ObjectInfo&) { return std::string(); });
    }));
    return ListPage{std::move(rolled.items), std::move(rolled.common_prefixes), rolled.truncated,
                    std::move(rolled.last_key)};
}

Result<UploadPage> Store::list_uploads(std::string_view bucket, const UploadListRequest& request) {
    const RollUpRequest wanted{request.prefix, request.delimiter, request.after_key, request.after_id,
                               request.max_uploads};
    const std::string end = end_of_prefix(request.prefix);
    auto rolled = TRY(database_.read([&](Connection& connection) -> Result<RolledUp<ListedUpload>> {
        const int64_t id = TRY(bucket_id(connection, bucket));
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
