#include "resources/listing/keyset_list.h"

#include <unistd.h>

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "base/files.h"

namespace millwright::resources {
namespace {

using metadata_store::Connection;
using metadata_store::Transaction;

const ListedTable kTable{.table = "thing", .columns = "thing.name_key, thing.status", .id = "id", .tie = "id"};

class KeysetListTest : public testing::Test {
  protected:
    const std::string folder_ = testing::TempDir() + "keyset_list_test." + std::to_string(::getpid());
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<NameIndex> names_;

    void SetUp() override {
        ASSERT_TRUE(make_directories(folder_));
        database_ = metadata_store::Database::open(folder_ + "/db").value();
        ASSERT_TRUE(database_->migrate(
            "test",
            {{"test 1",
              "CREATE TABLE thing(id INTEGER PRIMARY KEY, account TEXT, region TEXT, name_key TEXT, created_ms INTEGER,"
              " modified_ms INTEGER, status TEXT);"
              "CREATE INDEX thing_list_created ON thing(account, region, created_ms, id, name_key);"
              "CREATE INDEX thing_list_modified ON thing(account, region, modified_ms, id);"
              "CREATE INDEX thing_list_name ON thing(account, region, name_key, id);"
              "CREATE INDEX thing_list_status_created ON thing(account, region, status, created_ms, id, name_key);"
              "CREATE INDEX thing_list_status_name ON thing(account, region, status, name_key, id);"}}));
        // 3,000 things: many times and states are equal, few names are.
        ASSERT_TRUE(database_->write([](Transaction& tx) -> Result<void> {
            for (int64_t id = 1; id <= 3000; ++id)
                TRY(tx.run("INSERT INTO thing VALUES(?,?,'r',?,?,?,?)", id, id % 10 == 0 ? "other" : "a",
                           "thing-" + std::to_string(id * 7919 % 3001), id / 5, 5000 - id / 7,
                           id % 200 == 1 ? "Failed" : "Completed"));
            return {};
        }));
        names_ = std::make_unique<NameIndex>(*database_, names_statement(kTable));
        while (!names_->ready()) std::this_thread::yield();
    }
    void TearDown() override {
        names_.reset();
        database_.reset();
        ASSERT_TRUE(remove_tree(folder_));
    }
    static std::vector<ListRequest> all_requests() {
        std::vector<ListRequest> requests;
        const auto ms = [](int64_t value) { return std::optional(from_epoch_milliseconds(value)); };
        for (const auto order : {ListOrder::Name, ListOrder::CreationTime, ListOrder::Status})
            for (const bool ascending : {false, true})
                for (int filters = 0; filters < 32; ++filters)
                    for (const bool narrow : {false, true}) {
                        ListRequest request{.account = "a", .region = "r", .order = order, .ascending = ascending};
                        request.max_results = narrow ? 30 : 400;
                        auto& filter = request.filter;
                        if (filters & 1) filter.name_contains = narrow ? "99" : "Thing";
                        if (filters & 2) filter.status_equals = narrow ? "Failed" : "Completed";
                        if (filters & 4) filter.created_after = ms(narrow ? 550 : 10);
                        if (filters & 8) filter.created_before = ms(590);
                        if (filters & 16) filter.modified_before = ms(narrow ? 4600 : 4990);
                        requests.push_back(request);
                    }
        return requests;
    }
    // Page by page.
    std::vector<std::string> list(ListRequest request) {
        std::vector<std::string> names;
        for (int pages = 0; pages < 1000; ++pages) {
            const auto page = list_rows(*database_, *names_, kTable, request);
            EXPECT_TRUE(page) << page.error().detail;
            if (!page) return names;
            EXPECT_LE(page->rows.size(), request.max_results);
            for (const auto& row : page->rows) names.push_back(row.text(0));
            if (page->next.empty()) break;
            request.after = page->next;
        }
        return names;
    }
    // By a scan and a sort.
    std::vector<std::string> expected(const ListRequest& request) {
        const auto& filter = request.filter;
        std::string sql =
            "SELECT name_key FROM thing WHERE account='a' AND instr(name_key, ?1)>0 AND (?2='' OR status=?2)"
            " AND created_ms>?3 AND created_ms<?4 AND modified_ms<?5 ORDER BY ";
        const std::string way = request.ascending ? " ASC" : " DESC";
        if (request.order == ListOrder::Name) sql += "name_key" + way + ", id" + way;
        if (request.order == ListOrder::CreationTime) sql += "created_ms" + way + ", id" + way;
        if (request.order == ListOrder::Status) sql += "status" + way + ", created_ms" + way + ", id" + way;
        const auto ms = [](const std::optional<Timestamp>& time, int64_t otherwise) {
            return time ? to_epoch_milliseconds(*time) : otherwise;
        };
        std::string name = filter.name_contains;
        for (char& c : name) c = static_cast<char>(std::tolower(c));
        std::vector<std::string> names;
        const auto rows = database_->read([&](Connection& connection) {
            return connection.query(sql, name, filter.status_equals, ms(filter.created_after, -1),
                                    ms(filter.created_before, 1 << 30), ms(filter.modified_before, 1 << 30));
        });
        for (const auto& row : *rows) names.push_back(row.text(0));
        return names;
    }
    void expect_index(const ListStatement& statement, bool may_sort) {
        const auto plan = database_->read([&](Connection& connection) {
            return connection.query_values("EXPLAIN QUERY PLAN " + statement.sql, statement.parameters);
        });
        ASSERT_TRUE(plan) << plan.error().detail << statement.sql;
        for (const auto& step : *plan) {
            const auto text = step.text(3);
            EXPECT_FALSE(text.starts_with("SCAN thing")) << text << "\n" << statement.sql;
            const bool seeks = !text.starts_with("SEARCH thing") ||
                               text.find("account=? AND region=?") != std::string::npos ||
                               text.find("INTEGER PRIMARY KEY") != std::string::npos;
            EXPECT_TRUE(seeks) << text << "\n" << statement.sql;
            EXPECT_TRUE(may_sort || text.find("TEMP B-TREE") == std::string::npos) << text << "\n" << statement.sql;
        }
    }
};

TEST_F(KeysetListTest, AnswersEveryFilterInEveryOrderLikeAScanWithASort) {
    for (const auto& request : all_requests()) {
        const auto wanted = expected(request);
        ASSERT_EQ(list(request), wanted);
    }
}

TEST_F(KeysetListTest, ScansAndSortsNothing) {
    for (auto request : all_requests()) {
        for (const bool later : {false, true}) {
            if (later) {
                const auto page = list_rows(*database_, *names_, kTable, request);
                ASSERT_TRUE(page);
                if (page->next.empty()) continue;
                request.after = page->next;
            }
            for (const auto& probe : probing_statements(kTable, request)) expect_index(probe, false);
            expect_index(*walking_statement(kTable, request), false);
            expect_index(*picking_statement(kTable, request, {1, 2, 3}), true);
        }
    }
}

TEST_F(KeysetListTest, RefusesAPositionThatIsNone) {
    for (const std::string after : {"x", "[]", "[1]", "[\"a\",1]", "[1,\"a\"]", "{}", "[1,2,3]"}) {
        ListRequest request{.account = "a", .region = "r"};
        request.after = after;
        const auto page = list_rows(*database_, *names_, kTable, request);
        ASSERT_FALSE(page) << after;
        EXPECT_EQ(page.error().kind, ErrorKind::InvalidInput);
    }
}

}  // namespace
}  // namespace millwright::resources
