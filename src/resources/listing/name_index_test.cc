#include "resources/listing/name_index.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include <gtest/gtest.h>

#include "base/files.h"
#include "base/random.h"

namespace millwright::resources {
namespace {

class NameIndexTest : public testing::Test {
  protected:
    const std::string folder_ = testing::TempDir() + "name_index_test." + std::to_string(::getpid());
    std::unique_ptr<metadata_store::Database> database_;

    void SetUp() override {
        ASSERT_TRUE(make_directories(folder_));
        database_ = metadata_store::Database::open(folder_ + "/db").value();
        ASSERT_TRUE(database_->migrate(
            "test",
            {{"test 1",
              "CREATE TABLE item(id INTEGER PRIMARY KEY, account TEXT, region TEXT, created INTEGER, name TEXT)"}}));
    }
    void TearDown() override {
        database_.reset();
        ASSERT_TRUE(remove_tree(folder_));
    }
    void insert(int64_t id, int64_t created, const std::string& name, const std::string& account = "a") {
        ASSERT_TRUE(database_->write([&](metadata_store::Transaction& tx) {
            return tx.run("INSERT INTO item VALUES(?,?,'r',?,?)", id, account, created, name);
        }));
    }
    std::unique_ptr<NameIndex> open() {
        auto index = std::make_unique<NameIndex>(
            *database_,
            "SELECT id, created, account, region, name, id FROM item WHERE (account, region, created, id) > (?,?,?,?) "
            "ORDER BY account, region, created, id LIMIT ?");
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!index->ready() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
        return index;
    }
    using Ids = std::vector<int64_t>;
    static Ids page(NameIndex& index, const std::string& text, const NameIndex::Page& wanted, bool to_the_end) {
        const auto found = index.find_page("a", "r", text, wanted, 1000);
        EXPECT_TRUE(found);
        if (!found) return {};
        EXPECT_EQ(found->to_the_end, to_the_end);
        return found->ids;
    }
};

TEST_F(NameIndexTest, FindsNamesByAnyPartWithoutRegardToCase) {
    insert(3, 30, "Train-Digits");
    insert(7, 20, "digits");
    insert(9, 10, "other");
    const auto index = open();
    EXPECT_EQ(*index->find("a", "r", "DIGITS", 10), (Ids{7, 3}));
    EXPECT_EQ(*index->find("a", "r", "t", 10), (Ids{9, 7, 3}));
    EXPECT_EQ(*index->find("a", "r", "-d", 10), Ids{3});
    EXPECT_EQ(*index->find("a", "r", "rdigits", 10), Ids{}) << "not across the border of two names";
    EXPECT_EQ(*index->find("b", "r", "digits", 10), Ids{});
    EXPECT_EQ(*index->find("a", "r", std::string("r\0d", 3), 10), Ids{});
    EXPECT_FALSE(index->find("a", "r", "digits", 1)) << "more than asked for";
    EXPECT_FALSE(index->find("a", "r", "", 10));
}

TEST_F(NameIndexTest, ReadsATableOfManyBatchesAndAccounts) {
    ASSERT_TRUE(database_->write([](metadata_store::Transaction& tx) -> Result<void> {
        for (int64_t id = 1; id <= 25'000; ++id)
            TRY(tx.run("INSERT INTO item VALUES(?,?,'r',?,?)", id, id % 2 == 0 ? "a" : "b", 30'000 - id / 3,
                       "name-" + std::to_string(id)));
        return {};
    }));
    const auto index = open();
    for (const int64_t id : {1, 2, 9'999, 10'000, 10'001, 20'000, 24'999, 25'000}) {
        const auto& [mine, other] = id % 2 == 0 ? std::pair("a", "b") : std::pair("b", "a");
        const auto found = *index->find(mine, "r", "name-" + std::to_string(id), 20'000);
        EXPECT_TRUE(std::find(found.begin(), found.end(), id) != found.end()) << id;
        EXPECT_EQ(std::count(found.begin(), found.end(), id + 1), 0);
        const auto elsewhere = *index->find(other, "r", "name-" + std::to_string(id), 20'000);
        EXPECT_EQ(std::count(elsewhere.begin(), elsewhere.end(), id), 0) << id;
    }
    EXPECT_EQ(index->find("a", "r", "name", 20'000)->size(), 12'500u);
}

TEST_F(NameIndexTest, FollowsWhatIsAddedAndRemoved) {
    const auto index = open();
    const auto key = [](int64_t id) { return NameIndex::RowKey{.id = id, .created = 1000 + id}; };
    for (int64_t id = 1; id <= 5000; ++id) index->add(key(id), "a", "r", "name-" + std::to_string(id));
    index->add(key(5002), "a", "r", "late");
    index->add(key(5001), "a", "r", "later");
    EXPECT_EQ(*index->find("a", "r", "late", 10), (Ids{5001, 5002}));
    for (int64_t id = 1; id <= 4000; ++id) index->remove(key(id), "a", "r");
    index->remove(key(5002), "a", "r");
    index->remove(key(5002), "a", "r");
    EXPECT_EQ(*index->find("a", "r", "late", 10), Ids{5001});
    EXPECT_EQ(*index->find("a", "r", "name-1234", 10), Ids{});
    EXPECT_EQ(index->find("a", "r", "name-", 1000)->size(), 1000u);
    index->add({.id = 4000, .created = 9000}, "a", "r", "again");
    EXPECT_EQ(*index->find("a", "r", "again", 10), Ids{4000});
    EXPECT_EQ(*index->find("a", "r", "name-4000", 10), Ids{});
    for (int64_t id = 4001; id <= 5001; ++id) index->remove(key(id), "a", "r");
    index->remove({.id = 4000, .created = 9000}, "a", "r");
    EXPECT_EQ(*index->find("a", "r", "a", 10), Ids{});
    index->add(key(1), "a", "r", "first");
    EXPECT_EQ(*index->find("a", "r", "irs", 10), Ids{1});
}

TEST_F(NameIndexTest, APageHasAllOfTheTimesItTouches) {
    const auto index = open();
    for (int64_t id = 1; id <= 20; ++id)
        index->add({.id = id, .created = id / 4}, "a", "r", id % 2 == 0 ? "even" : "odd");
    // Times and even numbers: 0: 2; 1: 4, 6; 2: 8, 10; 3: 12, 14; 4: 16, 18; 5: 20.
    EXPECT_EQ(page(*index, "even", {.ascending = true, .count = 2}, false), (Ids{2, 4, 6}));
    EXPECT_EQ(page(*index, "even", {.from = 1, .ascending = true, .count = 2}, false), (Ids{4, 6, 8, 10}));
    EXPECT_EQ(page(*index, "even", {.from = 4, .ascending = true, .count = 2}, true), (Ids{16, 18, 20}));
    EXPECT_EQ(page(*index, "even", {.count = 2}, false), (Ids{20, 18, 16}));
    EXPECT_EQ(page(*index, "even", {.from = 1, .count = 9}, true), (Ids{6, 4, 2}));
    EXPECT_EQ(page(*index, "even", {.from = 9, .ascending = true, .count = 9}, true), Ids{});
    EXPECT_EQ(page(*index, "none", {.count = 9}, true), Ids{});
    EXPECT_FALSE(index->find_page("a", "r", "even", {.count = 9}, 3)) << "more than asked for";
    EXPECT_EQ(index->find_page("a", "r", "even", {.count = 3}, 3)->ids, (Ids{20, 18, 16}));
}

TEST_F(NameIndexTest, WhatIsToldOutOfOrderCostsNoRebuild) {
    const auto index = open();
    const auto add = [&](int64_t id, int64_t created, const std::string& name) {
        index->add({.id = id, .created = created}, "a", "r", name);
    };
    for (int64_t id = 1; id <= 200'000; ++id) add(id, id, "past-" + std::to_string(id));
    const auto begin = std::chrono::steady_clock::now();
    for (int64_t id = 200'001; id <= 202'000; id += 4)
        for (const int64_t next : {id + 3, id + 1, id + 2, id}) add(next, next, "new-" + std::to_string(next));
    add(200'001, 200'001, "new-200001");  // twice
    // The clock was set back.
    for (int64_t id = 300'000; id < 302'000; ++id) add(id, id - 250'000, "back-" + std::to_string(id));
    // A rebuild takes some hundred milliseconds, and there would be 3,500.
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
    const auto found = *index->find("a", "r", "new-", 10'000);
    ASSERT_EQ(found.size(), 2000u);
    EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
    EXPECT_EQ(*index->find("a", "r", "new-200777", 10), Ids{200'777});
    EXPECT_EQ(index->find("a", "r", "back-", 10'000)->size(), 2000u);
    EXPECT_EQ(page(*index, "0", {.from = 51'000, .ascending = true, .count = 2}, false),
              (Ids{51'000, 301'000, 51'001, 301'001}));
    index->remove({.id = 200'777, .created = 200'777}, "a", "r");
    add(200'776, 200'776, "replaced");
    EXPECT_EQ(*index->find("a", "r", "new-20077", 20),
              (Ids{200'770, 200'771, 200'772, 200'773, 200'774, 200'775, 200'778, 200'779}));
    EXPECT_EQ(*index->find("a", "r", "replaced", 10), Ids{200'776});
}

// Rows come and go in a random order, with times that are often equal; every answer is compared with a plain search.
TEST_F(NameIndexTest, AgreesWithAPlainSearch) {
    const auto index = open();
    struct Row {
        int64_t created = 0, id = 0;
        std::string name;
    };
    std::vector<Row> rows;
    auto& random = system_random();
    const auto random_text = [&](size_t size) {
        std::string text;
        for (size_t i = 0; i < size; ++i) text += static_cast<char>('a' + random.below(4));
        return text;
    };
    const auto check = [&](const std::string& wanted) {
        std::vector<Row> expected;
        for (const auto& row : rows)
            if (row.name.find(wanted) != std::string::npos) expected.push_back(row);
        std::sort(expected.begin(), expected.end(),
                  [](const Row& a, const Row& b) { return std::pair(a.created, a.id) < std::pair(b.created, b.id); });
        Ids all;
        for (const auto& row : expected) all.push_back(row.id);
        ASSERT_EQ(*index->find("a", "r", wanted, 1'000'000), all) << wanted;
        const bool ascending = random.below(2) == 0;
        if (!ascending) std::reverse(expected.begin(), expected.end());
        NameIndex::Page wanted_page{.ascending = ascending, .count = 1 + random.below(20)};
        if (random.below(4) != 0) wanted_page.from = static_cast<int64_t>(random.below(2100));
        Ids ids;
        size_t beyond = 0;
        int64_t last = -1;
        bool to_the_end = true;
        for (const auto& row : expected) {
            if (wanted_page.from && (ascending ? row.created < *wanted_page.from : row.created > *wanted_page.from))
                continue;
            to_the_end = beyond < wanted_page.count || row.created == last;
            if (!to_the_end) break;
            ids.push_back(row.id);
            last = row.created;
            beyond += row.created != wanted_page.from ? 1 : 0;
        }
        const auto found = index->find_page("a", "r", wanted, wanted_page, 1'000'000);
        ASSERT_TRUE(found);
        ASSERT_EQ(found->ids, ids) << wanted;
        ASSERT_EQ(found->to_the_end, to_the_end);
    };
    int64_t next = 1;
    for (int round = 0; round < 20; ++round) {
        // Mostly growing, now and then shrinking to almost nothing.
        const bool shrinks = round % 7 == 6;
        for (int i = 0; i < 1000; ++i) {
            if (!rows.empty() && random.below(10) < (shrinks ? 10u : 2u)) {
                const size_t gone = random.below(rows.size());
                index->remove({.id = rows[gone].id, .created = rows[gone].created}, "a", "r");
                std::swap(rows[gone], rows.back());
                rows.pop_back();
            } else if (!shrinks) {
                Row row{static_cast<int64_t>(random.below(2000)), next++, random_text(1 + random.below(30))};
                if (random.below(3) == 0) row.created = 2000 + next / 50;  // at the end
                index->add({.id = row.id, .created = row.created}, "a", "r", row.name);
                rows.push_back(std::move(row));
            }
        }
        for (int i = 0; i < 6; ++i) check(random_text(1 + random.below(9)));
    }
}

}  // namespace
}  // namespace millwright::resources
