#include "object_store/testing.h"

namespace millwright::object_store {
namespace {

class ListingTest : public StoreTest {
  protected:
    void put_all(const std::vector<std::string>& keys) {
        for (const auto& key : keys) ASSERT_TRUE(put(key, "x")) << key;
    }
    // Keys and <common prefixes> in order of each kind, over all pages of `size`.
    std::vector<std::string> walk(ListRequest request, size_t size) {
        std::vector<std::string> seen;
        request.max_keys = size;
        for (int pages = 0; pages < 1000; ++pages) {
            const auto page = store_->list("bucket", request);
            EXPECT_TRUE(page);
            if (!page) return seen;
            EXPECT_LE(page->objects.size() + page->common_prefixes.size(), size);
            for (const auto& object : page->objects) seen.push_back(object.key);
            for (const auto& prefix : page->common_prefixes) seen.push_back("<" + prefix + ">");
            if (!page->truncated) return seen;
            request.after = page->last;
        }
        ADD_FAILURE() << "paging does not end";
        return seen;
    }
    static std::vector<std::string> sorted(std::vector<std::string> names) {
        std::sort(names.begin(), names.end());
        return names;
    }
};

TEST_F(ListingTest, OrdersKeysAsBytes) {
    put_all({"b", "a", "B", "\xC3\xA9", "a/b", "a-b", "~", "\xF0\x9F\x98\x80", "\xEF\xBF\xBD"});
    EXPECT_EQ(walk({}, 1000), (std::vector<std::string>{"B", "a", "a-b", "a/b", "b", "~", "\xC3\xA9", "\xEF\xBF\xBD",
                                                        "\xF0\x9F\x98\x80"}));
}

TEST_F(ListingTest, RollsUpKeysAtTheDelimiter) {
    put_all({"a/1", "a/2", "a", "ab/1", "b", "c//1", "c/d/1", "/x"});
    const std::vector<std::string> top = {"</>", "<a/>", "<ab/>", "<c/>", "a", "b"};
    const std::vector<std::string> below = {"<c//>", "<c/d/>"};
    for (size_t size = 1; size <= 8; ++size) {
        EXPECT_EQ(sorted(walk({.delimiter = "/"}, size)), top) << "pages of " << size;
        EXPECT_EQ(sorted(walk({.prefix = "c/", .delimiter = "/"}, size)), below) << "pages of " << size;
        EXPECT_EQ(sorted(walk({.prefix = "a", .delimiter = "/"}, size)),
                  (std::vector<std::string>{"<a/>", "<ab/>", "a"}));
    }
}

TEST_F(ListingTest, TakesDelimitersOfAnyLengthAndText) {
    put_all({"k--1", "k--2", "k-3", "k\xC3\xA9z", "k\xC3\xA9y"});
    EXPECT_EQ(sorted(walk({.delimiter = "--"}, 2)),
              (std::vector<std::string>{"<k-->", "k-3", "k\xC3\xA9y", "k\xC3\xA9z"}));
    EXPECT_EQ(sorted(walk({.delimiter = "\xC3\xA9"}, 2)),
              (std::vector<std::string>{"<k\xC3\xA9>", "k--1", "k--2", "k-3"}));
}

TEST_F(ListingTest, StartsAfterKeysAndCommonPrefixes) {
    put_all({"a/1", "a/2", "b/1", "c"});
    EXPECT_EQ(walk({.after = "a/1"}, 10), (std::vector<std::string>{"a/2", "b/1", "c"}));
    EXPECT_EQ(walk({.delimiter = "/", .after = "a/"}, 10), (std::vector<std::string>{"c", "<b/>"}));
    EXPECT_EQ(walk({.delimiter = "/", .after = "a/1"}, 10), (std::vector<std::string>{"c", "<b/>"}));
    EXPECT_EQ(walk({.prefix = "b", .after = "a"}, 10), (std::vector<std::string>{"b/1"}));
    EXPECT_EQ(walk({.prefix = "a", .after = "b"}, 10), (std::vector<std::string>{}));
}

TEST_F(ListingTest, KnowsWhetherThereIsMore) {
    put_all({"a/1", "a/2", "a/3"});
    EXPECT_FALSE(store_->list("bucket", {.delimiter = "/", .max_keys = 1})->truncated)
        << "all keys are in the one prefix";
    EXPECT_TRUE(store_->list("bucket", {.max_keys = 2})->truncated);
    EXPECT_FALSE(store_->list("bucket", {.max_keys = 3})->truncated);
    EXPECT_FALSE(store_->list("bucket", {.max_keys = 0})->truncated);
    EXPECT_EQ(store_->list("nobody", {}).error().detail, reason::kBucket);
}

TEST_F(ListingTest, MatchesAPlainScanForManyShapes) {
    std::vector<std::string> keys;
    for (int i = 0; i < 300; ++i)
        keys.push_back(std::string(1, static_cast<char>('a' + i % 3)) + (i % 7 ? "/" : "-") + std::to_string(i % 11) +
                       (i % 5 ? "/" : "") + std::to_string(i));
    put_all(keys);
    for (const std::string prefix : {"", "a", "a/", "b/1", "c-", "zz"}) {
        std::set<std::string> expected;
        for (const auto& key : keys) {
            if (!key.starts_with(prefix)) continue;
            const size_t cut = key.find('/', prefix.size());
            expected.insert(cut == std::string::npos ? key : "<" + key.substr(0, cut + 1) + ">");
        }
        for (const size_t size : {1u, 3u, 50u, 1000u}) {
            const auto seen = sorted(walk({.prefix = prefix, .delimiter = "/"}, size));
            EXPECT_EQ(seen, std::vector<std::string>(expected.begin(), expected.end())) << prefix << " by " << size;
        }
    }
}

TEST_F(ListingTest, VisitsEveryObjectOfAPrefixInOrder) {
    std::vector<std::string> keys;
    for (int i = 0; i < 1203; ++i) keys.push_back("data/" + std::to_string(10'000 + i));
    // One transaction instead of a thousand.
    ASSERT_TRUE(put("data/10000", "x"));
    const auto source = store_->get("bucket", "data/10000");
    ASSERT_TRUE(source);
    ASSERT_TRUE(database_->write([&](metadata_store::Transaction& tx) -> Result<void> {
        for (size_t i = 1; i < keys.size(); ++i)
            TRY(
                tx.run("INSERT INTO object SELECT bucket, ?, ?, size, etag, modified, storage_class, properties, "
                       "version, sequence FROM object "
                       "WHERE key='data/10000'",
                       keys[i], keys[i]));
        return {};
    }));
    std::vector<std::string> seen;
    ASSERT_TRUE(for_each_object(*store_, "bucket", "data/", [&](const ObjectInfo& object) -> Result<void> {
        seen.push_back(object.key);
        return {};
    }));
    EXPECT_EQ(seen, keys);
}

}  // namespace
}  // namespace millwright::object_store
