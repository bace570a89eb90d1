#include "resources/models/records.h"

#include "base/strings.h"

namespace millwright::resources {
namespace {

using metadata_store::Connection;
using metadata_store::Row;
using metadata_store::Value;

std::string_view sort_column(RecordQuery::SortBy sort_by) {
    switch (sort_by) {
        case RecordQuery::SortBy::Name:
            return "name_key";
        case RecordQuery::SortBy::Status:
            return "status";
        case RecordQuery::SortBy::CreationTime:
            break;
    }
    return "created_ms";
}

struct Statement {
    std::string sql;
    std::vector<Value> parameters;

    void where(std::string_view condition, Value value) {
        sql += " AND ";
        sql += condition;
        parameters.push_back(std::move(value));
    }
    void where_time(std::string_view condition, const std::optional<Timestamp>& time) {
        if (time) where(condition, to_epoch_milliseconds(*time));
    }
};

// Ties are broken by name_key, which is unique, so a page border is one exact place.
Result<void> continue_after(Statement& statement, const RecordQuery& query) {
    if (query.after.empty()) return {};
    if (query.after.size() != 2) return invalid_input("not a position of this listing");
    const std::string column(sort_column(query.sort_by));
    const std::string than = query.ascending ? ">" : "<";
    Value border = query.after[0];
    if (query.sort_by == RecordQuery::SortBy::CreationTime) {
        const auto number = parse_int(query.after[0]);
        if (!number) return invalid_input("not a position of this listing");
        border = *number;
    }
    statement.sql += " AND (" + column + than + "? OR (" + column + "=? AND name_key" + than + "?))";
    statement.parameters.push_back(border);
    statement.parameters.push_back(border);
    statement.parameters.emplace_back(query.after[1]);
    return {};
}

}  // namespace

std::string RecordName::key() const { return to_lower(name); }

std::string RecordName::arn(std::string_view kind) const {
    return "arn:aws:sagemaker:" + region + ":" + account + ":" + std::string(kind) + "/" + key();
}

Result<RecordPage> list_records(metadata_store::Database& database, std::string_view table, std::string_view account,
                                std::string_view region, const RecordQuery& query) {
    Statement statement{"SELECT name, arn, status, created_ms, modified_ms, name_key FROM " + std::string(table) +
                            " WHERE account=? AND region=?",
                        {std::string(account), std::string(region)}};
    if (!query.name_contains.empty()) statement.where("instr(name_key,?)>0", to_lower(query.name_contains));
    if (!query.status_equals.empty()) statement.where("status=?", query.status_equals);
    statement.where_time("created_ms>?", query.created_after);
    statement.where_time("created_ms<?", query.created_before);
    statement.where_time("modified_ms>?", query.modified_after);
    statement.where_time("modified_ms<?", query.modified_before);
    TRY(continue_after(statement, query));
    const std::string order = query.ascending ? " ASC" : " DESC";
    statement.sql += " ORDER BY " + std::string(sort_column(query.sort_by)) + order + ", name_key" + order + " LIMIT ?";
    statement.parameters.emplace_back(static_cast<int64_t>(query.max_results + 1));
    return database.read([&](Connection& c) -> Result<RecordPage> {
        const std::vector<Row> rows = TRY(c.query_values(statement.sql, statement.parameters));
        RecordPage page;
        for (const Row& row : rows) {
            if (page.items.size() == query.max_results) break;
            page.items.push_back({row.text(0), row.text(1), row.text(2), from_epoch_milliseconds(row.integer(3)),
                                  from_epoch_milliseconds(row.integer(4))});
        }
        if (rows.size() > query.max_results && !page.items.empty()) {
            const Row& last = rows[query.max_results - 1];
            const bool by_time = query.sort_by == RecordQuery::SortBy::CreationTime;
            const bool by_name = query.sort_by == RecordQuery::SortBy::Name;
            page.next = {by_time ? std::to_string(last.integer(3)) : last.text(by_name ? 5 : 2), last.text(5)};
        }
        return page;
    });
}

}  // namespace millwright::resources
