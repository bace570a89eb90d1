// One page of a list with filters and an order, over a table with these indexes:
//
//   <table>_list_created         (account, region, created, tie, …)        <table>_list_name  (account, region, name,
//   …) <table>_list_status_created  (account, region, status, created, tie)   <table>_list_status_name  (…, status,
//   name) <table>_list_modified        (account, region, modified, …)
//
// A filter that few rows meet gives the rows, which are then ordered; else the index of the order is walked from the
// last page's end, and the filters are met soon. A part of the name alone, in the order of creation, is answered from
// the names in memory. So a page costs the same however long the table is, but for filters that each meet many rows and
// together few.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "metadata_store/database.h"
#include "resources/listing/name_index.h"

namespace millwright::resources {

enum class ListOrder { Name, CreationTime, Status };

struct ListedTable {
    std::string table;
    std::string columns;       // what a page's rows have, by position
    std::string joins = {};    // more tables the columns come from, " LEFT JOIN …"
    std::string id = "rowid";  // of the rows in NameIndex
    std::string tie = "name_key";
    std::string name = "name_key", created = "created_ms", modified = "modified_ms", status = "status";
    // The table has the indexes with status, and with the time of modification; else it has no such filters.
    bool has_status = true, has_modified = true;
    bool modified_after_creation = false;  // in every row, whatever the clock does
};

struct ListFilter {
    std::optional<Timestamp> created_after = {}, created_before = {}, modified_after = {}, modified_before = {};
    std::string name_contains = {}, status_equals = {};  // empty: any
    // A condition of the caller's own, and a query for the ids of the rows that meet it, "… LIMIT ?2" with the same ?1.
    struct Condition {
        std::string sql, ids;
        metadata_store::Value value;
    };
    std::optional<Condition> condition = {};
};

struct ListRequest {
    std::string account, region;
    ListFilter filter = {};
    ListOrder order = ListOrder::CreationTime;
    bool ascending = false;
    size_t max_results = 100;
    std::string after = {};  // ListedRows::next of the page before
};

struct ListedRows {
    std::vector<metadata_store::Row> rows;
    std::string next;  // empty at the end
};

// What NameIndex reads the table with.
std::string names_statement(const ListedTable& table);

// InvalidInput for a position that is not one.
Result<ListedRows> list_rows(metadata_store::Database& database, NameIndex& names, const ListedTable& table,
                             const ListRequest& request);

// Rows that a filter may meet and still be taken first.
inline constexpr size_t kFewRows = 1000;

// The statements behind it, for tests of how SQLite runs them.
struct ListStatement {
    std::string sql;
    std::vector<metadata_store::Value> parameters;
};
std::vector<ListStatement> probing_statements(const ListedTable& table, const ListRequest& request);
Result<ListStatement> walking_statement(const ListedTable& table, const ListRequest& request);
Result<ListStatement> picking_statement(const ListedTable& table, const ListRequest& request,
                                        const std::vector<int64_t>& ids);

}  // namespace millwright::resources
