#include "resources/listing/keyset_list.h"

#include "base/json.h"
#include "base/strings.h"

namespace millwright::resources {
namespace {

using metadata_store::Connection;
using metadata_store::Row;
using metadata_store::Value;

// What a page is ordered by; the last column makes it one order.
std::vector<std::string> order_columns(const ListedTable& table, const ListRequest& request) {
    switch (request.order) {
        case ListOrder::Name:
            if (table.name == table.tie) return {table.name};
            return {table.name, table.tie};
        case ListOrder::Status:
            if (!request.filter.status_equals.empty()) break;
            return {table.status, table.created, table.tie};
        case ListOrder::CreationTime:
            break;
    }
    return {table.created, table.tie};
}

std::string qualified(const ListedTable& table, const std::vector<std::string>& columns, std::string_view behind) {
    std::string text;
    for (const auto& column : columns) {
        if (!text.empty()) text += ", ";
        text += table.table + "." + column + std::string(behind);
    }
    return text;
}

void where(ListStatement& statement, const std::string& condition, Value value) {
    statement.sql += " AND " + condition;
    statement.parameters.push_back(std::move(value));
}

void where_times(ListStatement& statement, const std::string& column, const std::optional<Timestamp>& after,
                 const std::optional<Timestamp>& before) {
    if (after) where(statement, column + ">?", to_epoch_milliseconds(*after));
    if (before) where(statement, column + "<?", to_epoch_milliseconds(*before));
}

// The name in lower case, of what the index of the order has, so that rows without a match are not fetched.
std::string lower_name(const ListedTable& table, ListOrder order) {
    if (order == ListOrder::Name && table.name != "name_key") return "lower(" + table.table + "." + table.name + ")";
    return table.table + ".name_key";
}

void add_filters(ListStatement& statement, const ListedTable& table, const ListRequest& request) {
    const ListFilter& filter = request.filter;
    if (!filter.status_equals.empty()) where(statement, table.table + "." + table.status + "=?", filter.status_equals);
    if (filter.condition) where(statement, filter.condition->sql, filter.condition->value);
    where_times(statement, table.table + "." + table.created, filter.created_after, filter.created_before);
    where_times(statement, table.table + "." + table.modified, filter.modified_after, filter.modified_before);
    if (!filter.name_contains.empty())
        where(statement, "instr(" + lower_name(table, request.order) + ", ?)>0", to_lower(filter.name_contains));
}

Result<void> add_position_and_order(ListStatement& statement, const ListedTable& table, const ListRequest& request) {
    const auto columns = order_columns(table, request);
    if (!request.after.empty()) {
        const auto position = Json::parse(request.after);
        if (!position || !position->is_array() || position->size() != columns.size())
            return invalid_input("Invalid NextToken.");
        std::string marks;
        for (size_t i = 0; i < columns.size(); ++i) {
            const auto& value = (*position)[i];
            const bool is_number = columns[i] == table.created || columns[i] == "id";
            if (is_number ? !value.is_int() : !value.is_string()) return invalid_input("Invalid NextToken.");
            statement.parameters.push_back(is_number ? Value(value.as_int()) : Value(value.as_string()));
            marks += i == 0 ? "?" : ", ?";
        }
        statement.sql +=
            " AND (" + qualified(table, columns, "") + ")" + (request.ascending ? ">" : "<") + "(" + marks + ")";
    }
    statement.sql += " ORDER BY " + qualified(table, columns, request.ascending ? " ASC" : " DESC") + " LIMIT ?";
    statement.parameters.emplace_back(static_cast<int64_t>(request.max_results) + 1);
    return {};
}

ListStatement begin_page(const ListedTable& table, const ListRequest& request, const std::string& from) {
    const auto columns = order_columns(table, request);
    return {"SELECT " + table.columns + ", " + qualified(table, columns, "") + " FROM " + table.table + from +
                table.joins + " WHERE " + table.table + ".account=? AND " + table.table + ".region=?",
            {request.account, request.region}};
}

std::string index_of_order(const ListedTable& table, const ListRequest& request) {
    const bool by_name = request.order == ListOrder::Name;
    // An order by status is one by time within each status, and begins with the status.
    const bool with_status = !request.filter.status_equals.empty() || request.order == ListOrder::Status;
    return table.table + "_list" + (with_status ? "_status" : "") + (by_name ? "_name" : "_created");
}

std::optional<ListStatement> probe_times(const ListedTable& table, const ListRequest& request,
                                         const std::string& column, const std::string& index,
                                         const std::optional<Timestamp>& after,
                                         const std::optional<Timestamp>& before) {
    if (!after && !before) return std::nullopt;
    ListStatement statement{"SELECT " + table.id + " FROM " + table.table + " INDEXED BY " + table.table + index +
                                " WHERE account=? AND region=?",
                            {request.account, request.region}};
    where_times(statement, column, after, before);
    statement.sql += " LIMIT ?";
    statement.parameters.emplace_back(static_cast<int64_t>(kFewRows) + 1);
    return statement;
}

std::string position_after(const Row& row, size_t first, const ListedTable& table,
                           const std::vector<std::string>& columns) {
    auto position = Json::array();
    for (size_t i = 0; i < columns.size(); ++i) {
        const bool is_number = columns[i] == table.created || columns[i] == "id";
        position.push_back(is_number ? Json(row.integer(first + i)) : Json(row.text(first + i)));
    }
    return position.dump();
}

size_t count_columns(std::string_view columns) {
    size_t count = 1;
    for (const char c : columns) count += c == ',' ? 1 : 0;
    return count;
}

// The rows that are to be picked and ordered.
struct Picked {
    std::vector<int64_t> ids;
    bool whole = true;  // all that one filter meets; else at least a page of them
};

bool has_only_a_name(const ListFilter& filter) {
    return !filter.name_contains.empty() && filter.status_equals.empty() && !filter.condition &&
           !filter.created_after && !filter.created_before && !filter.modified_after && !filter.modified_before;
}

// A page in the order of creation of the rows with such a name.
std::optional<Picked> page_by_name(NameIndex& names, const ListedTable& table, const ListRequest& request) {
    if (!has_only_a_name(request.filter) || order_columns(table, request).front() != table.created) return std::nullopt;
    NameIndex::Page page{.ascending = request.ascending, .count = request.max_results + 1};
    if (!request.after.empty()) {
        const auto position = Json::parse(request.after);
        if (!position || !position->is_array() || position->size() == 0 || !(*position)[0].is_int())
            return std::nullopt;
        page.from = (*position)[0].as_int();
    }
    auto found = names.find_page(request.account, request.region, request.filter.name_contains, page, kFewRows);
    if (!found) return std::nullopt;
    return Picked{std::move(found->ids), found->to_the_end};
}

// The rows that one filter meets, when they are few.
Result<std::optional<Picked>> few_rows(Connection& connection, NameIndex& names, const ListedTable& table,
                                       const ListRequest& request) {
    if (auto page = page_by_name(names, table, request)) return page;
    if (!request.filter.name_contains.empty()) {
        auto found = names.find(request.account, request.region, request.filter.name_contains, kFewRows);
        if (found) return std::optional(Picked{std::move(*found)});
    }
    for (const auto& probe : probing_statements(table, request)) {
        const auto rows = TRY(connection.query_values(probe.sql, probe.parameters));
        if (rows.size() > kFewRows) continue;
        Picked picked;
        for (const auto& row : rows) picked.ids.push_back(row.integer(0));
        return std::optional(std::move(picked));
    }
    return std::optional<Picked>();
}

Result<std::vector<Row>> rows_of_page(Connection& connection, NameIndex& names, const ListedTable& table,
                                      const ListRequest& request) {
    if (const auto picked = TRY(few_rows(connection, names, table, request))) {
        const auto statement = TRY(picking_statement(table, request, picked->ids));
        auto rows = TRY(connection.query_values(statement.sql, statement.parameters));
        // A row that was removed just now may be missing, and others come after it.
        if (picked->whole || rows.size() > request.max_results) return rows;
    }
    const auto statement = TRY(walking_statement(table, request));
    return connection.query_values(statement.sql, statement.parameters);
}

}  // namespace

std::vector<ListStatement> probing_statements(const ListedTable& table, const ListRequest& request) {
    const auto& filter = request.filter;
    std::vector<ListStatement> probes;
    if (filter.condition)
        probes.push_back({filter.condition->ids, {filter.condition->value, static_cast<int64_t>(kFewRows) + 1}});
    if (auto modified = probe_times(table, request, table.modified, "_list_modified", filter.modified_after,
                                    filter.modified_before))
        probes.push_back(std::move(*modified));
    // In the order of creation the walk begins at the limit anyway.
    const bool walks_times = request.order == ListOrder::CreationTime && filter.status_equals.empty();
    if (auto created =
            probe_times(table, request, table.created, "_list_created", filter.created_after, filter.created_before);
        created && !walks_times)
        probes.push_back(std::move(*created));
    return probes;
}

Result<ListStatement> walking_statement(const ListedTable& table, const ListRequest& request) {
    auto statement = begin_page(table, request, " INDEXED BY " + index_of_order(table, request));
    add_filters(statement, table, request);
    // What was modified before was created before, and there the walk may begin.
    if (table.modified_after_creation)
        where_times(statement, table.table + "." + table.created, std::nullopt, request.filter.modified_before);
    TRY(add_position_and_order(statement, table, request));
    return statement;
}

Result<ListStatement> picking_statement(const ListedTable& table, const ListRequest& request,
                                        const std::vector<int64_t>& ids) {
    auto list = Json::array();
    for (const int64_t id : ids) list.push_back(id);
    auto statement = begin_page(table, request, "");
    where(statement, table.table + "." + table.id + " IN (SELECT value FROM json_each(?))", list.dump());
    // Or SQLite might prefer an index of the filters.
    for (auto& column : {".account=?", ".region=?"})
        statement.sql = replace_all(statement.sql, table.table + column, "+" + table.table + column);
    const size_t before = statement.sql.size();
    add_filters(statement, table, request);
    auto filters = statement.sql.substr(before);
    statement.sql.resize(before);
    statement.sql += replace_all(filters, " AND " + table.table + ".", " AND +" + table.table + ".");
    TRY(add_position_and_order(statement, table, request));
    return statement;
}

std::string names_statement(const ListedTable& table) {
    const auto order = "account, region, " + table.created + ", " + table.tie;
    return "SELECT " + table.id + ", " + table.created + ", account, region, name_key, " + table.tie + " FROM " +
           table.table + " INDEXED BY " + table.table + "_list_created WHERE (" + order + ") > (?,?,?,?) ORDER BY " +
           order + " LIMIT ?";
}

Result<ListedRows> list_rows(metadata_store::Database& database, NameIndex& names, const ListedTable& table,
                             const ListRequest& request) {
    auto rows =
        TRY(database.read([&](Connection& connection) { return rows_of_page(connection, names, table, request); }));
    ListedRows page;
    if (rows.size() > request.max_results) {
        rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(request.max_results), rows.end());
        if (!rows.empty())
            page.next = position_after(rows.back(), count_columns(table.columns), table, order_columns(table, request));
    }
    page.rows = std::move(rows);
    return page;
}

}  // namespace millwright::resources
