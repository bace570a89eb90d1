#include "resources/models/records.h"

#include "base/strings.h"

namespace millwright::resources {
std::string RecordName::key() const { return to_lower(name); }

std::string RecordName::arn(std::string_view kind) const {
    return "arn:aws:sagemaker:" + region + ":" + account + ":" + std::string(kind) + "/" + key();
}

RecordList::RecordList(metadata_store::Database& database, std::string table, Kind kind)
    : database_(database),
      listed_{.table = table,
              .columns = "name, arn, status, created_ms, modified_ms",
              .has_status = kind == Kind::WithStatus,
              .has_modified = kind == Kind::WithStatus},
      names_(database, names_statement(listed_)) {}

Result<RecordPage> RecordList::page(std::string_view account, std::string_view region, const RecordQuery& query) {
    ListRequest request{.account = std::string(account), .region = std::string(region)};
    request.filter = {.created_after = query.created_after,
                      .created_before = query.created_before,
                      .modified_after = query.modified_after,
                      .modified_before = query.modified_before,
                      .name_contains = query.name_contains,
                      .status_equals = query.status_equals};
    if (query.sort_by == RecordQuery::SortBy::Name) request.order = ListOrder::Name;
    if (query.sort_by == RecordQuery::SortBy::Status) request.order = ListOrder::Status;
    request.ascending = query.ascending;
    request.max_results = query.max_results;
    if (query.after.size() > 1) return invalid_input("not a position of this listing");
    if (!query.after.empty()) request.after = query.after[0];
    const auto listed = TRY(list_rows(database_, names_, listed_, request));
    RecordPage page;
    for (const auto& row : listed.rows)
        page.items.push_back({row.text(0), row.text(1), row.text(2), from_epoch_milliseconds(row.integer(3)),
                              from_epoch_milliseconds(row.integer(4))});
    if (!listed.next.empty()) page.next = {listed.next};
    return page;
}

std::string record_indexes(std::string_view table, RecordList::Kind kind) {
    const auto index = [&](const std::string& name, const std::string& columns) {
        return "CREATE INDEX " + std::string(table) + "_list_" + name + " ON " + std::string(table) +
               "(account, region, " + columns + ");";
    };
    std::string sql = "DROP INDEX " + std::string(table) + "_by_time;" + index("created", "created_ms, name_key") +
                      index("name", "name_key");
    if (kind == RecordList::Kind::WithStatus)
        sql += index("modified", "modified_ms, name_key") + index("status_created", "status, created_ms, name_key") +
               index("status_name", "status, name_key");
    return sql;
}

}  // namespace millwright::resources
