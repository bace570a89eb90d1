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
            "test", {{"test 1", "CREATE TABLE item(id INTEGER PRIMARY KEY, account TEXT, region TEXT, name TEXT)"}}));
    }
    void TearDown() override {
        database_.reset();
        ASSERT_TRUE(remove_tree(folder_));
    }
    void insert(int64_t id, const std::string& name) {
        ASSERT_TRUE(database_->write(
            [&](metadata_store::Transaction& tx) { return tx.run("INSERT INTO item VALUES(?,'a','r',?)", id, name); }));
    }
    std::unique_ptr<NameIndex> open() {
        auto index = std::make_unique<NameIndex>(
            *database_,
            "SELECT id, account, region, name FROM item WHERE (account, region, name) > (?,?,?) "
            "ORDER BY account, region, name LIMIT ?");
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!index->ready() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
        return index;
    }
    using Ids = std::vector<int64_t>;
};

TEST_F(NameIndexTest, FindsNamesByAnyPartWithoutRegardToCase) {
    insert(3, "Train-Digits");
    insert(7, "digits");
    insert(9, "other");
    const auto index = open();
    EXPECT_EQ(*index->find("a", "r", "DIGITS", 10), (Ids{3, 7}));
    EXPECT_EQ(*index->find("a", "r", "t", 10), (Ids{3, 7, 9}));
    EXPECT_EQ(*index->find("a", "r", "-d", 10), Ids{3});
    EXPECT_EQ(*index->find("a", "r", "sother", 10), Ids{}) << "not across the border of two names";
    EXPECT_EQ(*index->find("b", "r", "digits", 10), Ids{});
    EXPECT_EQ(*index->find("a", "r", std::string("s\0o", 3), 10), Ids{});
    EXPECT_FALSE(index->find("a", "r", "digits", 1)) << "more than asked for";
    EXPECT_FALSE(index->find("a", "r", "", 10));
}

TEST_F(NameIndexTest, FollowsWhatIsAddedAndRemoved) {
    const auto index = open();
    for (int64_t id = 1; id <= 5000; ++id) index->add(id, "a", "r", "name-" + std::to_string(id));
    index->add(5002, "a", "r", "late");
    index->add(5001, "a", "r", "later");
    EXPECT_EQ(*index->find("a", "r", "late", 10), (Ids{5001, 5002}));
    for (int64_t id = 1; id <= 4000; ++id) index->remove(id, "a", "r");
    index->remove(5002, "a", "r");
    index->remove(5002, "a", "r");
    EXPECT_EQ(*index->find("a", "r", "late", 10), Ids{5001});
    EXPECT_EQ(*index->find("a", "r", "name-1234", 10), Ids{});
    EXPECT_EQ(index->find("a", "r", "name-", 1000)->size(), 1000u);
    index->add(4000, "a", "r", "again");
    EXPECT_EQ(*index->find("a", "r", "again", 10), Ids{4000});
}

TEST_F(NameIndexTest, WhatIsToldOutOfOrderCostsNoRebuild) {
    const auto index = open();
    for (int64_t id = 1; id <= 200'000; ++id) index->add(id, "a", "r", "past-" + std::to_string(id));
    const auto begin = std::chrono::steady_clock::now();
    for (int64_t id = 200'001; id <= 202'000; id += 4)
        for (const int64_t next : {id + 3, id + 1, id + 2, id})
            index->add(next, "a", "r", "new-" + std::to_string(next));
    index->add(200'001, "a", "r", "new-200001");  // twice
    // A rebuild takes some ten milliseconds, and there would be 1,500.
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
    const auto found = *index->find("a", "r", "new-", 10'000);
    ASSERT_EQ(found.size(), 2000u);
    EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
    EXPECT_EQ(*index->find("a", "r", "new-200777", 10), Ids{200'777});
    index->remove(200'777, "a", "r");
    index->add(200'776, "a", "r", "replaced");
    EXPECT_EQ(*index->find("a", "r", "new-20077", 20),
              (Ids{200'770, 200'771, 200'772, 200'773, 200'774, 200'775, 200'778, 200'779}));
    EXPECT_EQ(*index->find("a", "r", "replaced", 10), Ids{200'776});
}

TEST_F(NameIndexTest, AgreesWithAPlainSearch) {
    const auto index = open();
    std::vector<std::string> names;
    const auto random_text = [](size_t size) {
        std::string text;
        for (size_t i = 0; i < size; ++i) text += static_cast<char>('a' + system_random().below(3));
        return text;
    };
    for (int64_t id = 1; id <= 500; ++id) {
        names.push_back(random_text(1 + system_random().below(30)));
        index->add(id, "a", "r", names.back());
    }
    for (int i = 0; i < 500; ++i) {
        const auto wanted = random_text(1 + system_random().below(6));
        Ids expected;
        for (size_t n = 0; n < names.size(); ++n)
            if (names[n].find(wanted) != std::string::npos) expected.push_back(static_cast<int64_t>(n) + 1);
        ASSERT_EQ(*index->find("a", "r", wanted, 1000), expected) << wanted;
    }
}

}  // namespace
}  // namespace millwright::resources
