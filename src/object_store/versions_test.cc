#include <gtest/gtest.h>

#include "object_store/schema.h"
#include "object_store/testing.h"

namespace millwright::object_store {
namespace {

class VersionsTest : public StoreTest {
  protected:
    void SetUp() override {
        StoreTest::SetUp();
        ASSERT_TRUE(store_->set_versioning("bucket", Versioning::Enabled));
    }
    std::string write(const std::string& key, std::string_view bytes) {
        clock_.now_ms += 1000;
        const auto object = put(key, bytes);
        EXPECT_TRUE(object);
        return object ? object->version : "";
    }
    Removed erase(const std::string& key, const std::string& version = "") {
        clock_.now_ms += 1000;
        const std::vector<Removal> removal{{key, version}};
        const auto removed = store_->remove("bucket", removal);
        EXPECT_TRUE(removed && removed->front());
        return removed && removed->front() ? *removed->front() : Removed{"failed"};
    }
    std::string content_of(const std::string& key, const std::string& version) {
        const auto object = store_->get("bucket", key, version);
        return object ? content(*object) : "no such version: " + object.error().detail;
    }
    // "key/version" in order, "*" after the newest, "-" before a delete marker.
    std::vector<std::string> listed(const VersionListRequest& request = {}) {
        const auto page = store_->list_versions("bucket", request);
        EXPECT_TRUE(page);
        std::vector<std::string> found;
        if (!page) return found;
        for (const auto& version : page->versions)
            found.push_back((version.delete_marker ? "-" : "") + version.object.key + "/" + version.object.version +
                            (version.latest ? "*" : ""));
        for (const auto& prefix : page->common_prefixes) found.push_back(prefix + "…");
        return found;
    }
    using Lines = std::vector<std::string>;
};

TEST_F(VersionsTest, EveryWriteAddsAVersion) {
    const auto one = write("k", "one"), two = write("k", "two");
    EXPECT_EQ(one.size(), 32u);
    EXPECT_NE(one, two);
    EXPECT_EQ(content("k"), "two");
    EXPECT_EQ(content_of("k", one), "one");
    EXPECT_EQ(content_of("k", two), "two");
    EXPECT_EQ(store_->head("bucket", "k")->version, two);
    EXPECT_EQ(listed(), (Lines{"k/" + two + "*", "k/" + one}));
    EXPECT_EQ(store_->list("bucket", {})->objects.size(), 1u);
}

TEST_F(VersionsTest, VersionsOutliveARestart) {
    const auto one = write("k", "one"), two = write("k", "two");
    const auto marker = erase("k").version;
    reopen();
    EXPECT_EQ(store_->find_bucket("bucket")->versioning, Versioning::Enabled);
    EXPECT_EQ(listed(), (Lines{"-k/" + marker + "*", "k/" + two, "k/" + one}));
    EXPECT_EQ(content_of("k", one), "one");
}

TEST_F(VersionsTest, RemovingTheObjectAddsADeleteMarker) {
    const auto one = write("k", "one");
    const auto removed = erase("k");
    EXPECT_TRUE(removed.delete_marker);
    EXPECT_EQ(store_->get("bucket", "k").error().detail, reason::kDeleteMarker);
    EXPECT_EQ(store_->get("bucket", "k").error().kind, ErrorKind::NotFound);
    EXPECT_EQ(store_->head("bucket", "k", removed.version).error().kind, ErrorKind::Conflict);
    EXPECT_TRUE(store_->list("bucket", {})->objects.empty());
    EXPECT_EQ(content_of("k", one), "one");
    EXPECT_EQ(listed(), (Lines{"-k/" + removed.version + "*", "k/" + one}));

    const auto gone = erase("k", removed.version);
    EXPECT_TRUE(gone.delete_marker);
    EXPECT_EQ(gone.version, removed.version);
    EXPECT_EQ(content("k"), "one");
    EXPECT_EQ(listed(), (Lines{"k/" + one + "*"}));
}

TEST_F(VersionsTest, AKeyThatNeverWasGetsADeleteMarkerToo) {
    const auto first = erase("k"), second = erase("k");
    EXPECT_NE(first.version, second.version);
    EXPECT_EQ(listed(), (Lines{"-k/" + second.version + "*", "-k/" + first.version}));
    EXPECT_EQ(store_->delete_bucket("bucket").error().kind, ErrorKind::Conflict);
    erase("k", first.version);
    erase("k", second.version);
    EXPECT_TRUE(store_->delete_bucket("bucket"));
}

TEST_F(VersionsTest, RemovingTheNewestVersionBringsBackTheOneBefore) {
    const auto one = write("k", "one"), two = write("k", "two"), three = write("k", "three");
    erase("k", three);
    EXPECT_EQ(content("k"), "two");
    erase("k", one);
    EXPECT_EQ(content("k"), "two");
    EXPECT_EQ(listed(), (Lines{"k/" + two + "*"}));
    const auto removed = erase("k", two);
    EXPECT_FALSE(removed.delete_marker);
    EXPECT_EQ(store_->get("bucket", "k").error().detail, reason::kKey);
    EXPECT_EQ(store_->get("bucket", "k", two).error().detail, reason::kVersion);
    EXPECT_TRUE(listed().empty());
    EXPECT_TRUE(files().empty());
    EXPECT_EQ(erase("k", two).version, two) << "a second time is fine";
}

TEST_F(VersionsTest, RemovingUnderADeleteMarkerLeavesItTheNewest) {
    const auto one = write("k", "one"), two = write("k", "two");
    const auto marker = erase("k").version;
    erase("k", two);
    EXPECT_EQ(listed(), (Lines{"-k/" + marker + "*", "k/" + one}));
    EXPECT_EQ(store_->get("bucket", "k").error().detail, reason::kDeleteMarker);
    const auto three = write("k", "three");
    EXPECT_EQ(listed(), (Lines{"k/" + three + "*", "-k/" + marker, "k/" + one}));
    erase("k", three);
    EXPECT_EQ(store_->get("bucket", "k").error().detail, reason::kDeleteMarker) << "a marker is the newest again";
}

TEST_F(VersionsTest, WhatWasThereBeforeIsTheNullVersion) {
    ASSERT_TRUE(store_->create_bucket("123456789012", "us-west-2", "plain"));
    ASSERT_TRUE(store_->put("plain", "k", {}, source_of("zero")));
    EXPECT_EQ(store_->head("plain", "k")->version, "");
    EXPECT_EQ(store_->head("plain", "k", "null")->etag.size(), 32u);
    ASSERT_TRUE(store_->set_versioning("plain", Versioning::Enabled));
    EXPECT_EQ(store_->head("plain", "k")->version, "null");
    ASSERT_TRUE(store_->put("plain", "k", {}, source_of("one")));
    EXPECT_EQ(content(*store_->get("plain", "k", "null")), "zero");
    const auto page = store_->list_versions("plain", {});
    ASSERT_EQ(page->versions.size(), 2u);
    EXPECT_EQ(page->versions[1].object.version, "null");
    ASSERT_TRUE(store_->remove("plain", std::vector<Removal>{{"k", page->versions[0].object.version}}));
    EXPECT_EQ(content(*store_->get("plain", "k")), "zero");
}

TEST_F(VersionsTest, SuspendedBucketsReplaceTheNullVersionOnly) {
    const auto one = write("k", "one");
    ASSERT_TRUE(store_->set_versioning("bucket", Versioning::Suspended));
    EXPECT_EQ(write("k", "null 1"), "null");
    EXPECT_EQ(write("k", "null 2"), "null");
    EXPECT_EQ(listed(), (Lines{"k/null*", "k/" + one}));
    EXPECT_EQ(content("k"), "null 2");
    const auto removed = erase("k");
    EXPECT_EQ(removed.version, "null");
    EXPECT_TRUE(removed.delete_marker);
    EXPECT_EQ(listed(), (Lines{"-k/null*", "k/" + one}));
    EXPECT_EQ(write("k", "null 3"), "null");
    EXPECT_EQ(listed(), (Lines{"k/null*", "k/" + one}));

    ASSERT_TRUE(store_->set_versioning("bucket", Versioning::Enabled));
    const auto two = write("k", "two");
    EXPECT_EQ(listed(), (Lines{"k/" + two + "*", "k/null", "k/" + one}));
    ASSERT_TRUE(store_->set_versioning("bucket", Versioning::Suspended));
    EXPECT_EQ(write("k", "null 4"), "null") << "the old null version is not the newest, and goes all the same";
    EXPECT_EQ(listed(), (Lines{"k/null*", "k/" + two, "k/" + one}));
    erase("k", "null");
    EXPECT_EQ(content("k"), "two");
}

TEST_F(VersionsTest, ListingsGoOnInsideAKey) {
    std::vector<std::string> all;
    for (const std::string key : {"a", "b/1", "b/2", "c"}) {
        std::vector<std::string> versions;
        for (int i = 0; i < 4; ++i)
            versions.push_back(i == 2 ? "-" + key + "/" + erase(key).version : key + "/" + write(key, "x"));
        versions.back() += "*";
        all.insert(all.end(), versions.rbegin(), versions.rend());
    }
    EXPECT_EQ(listed(), all);
    for (size_t size = 1; size <= all.size() + 1; ++size) {
        std::vector<std::string> collected;
        VersionListRequest request;
        request.max_versions = size;
        for (;;) {
            const auto lines = listed(request);
            collected.insert(collected.end(), lines.begin(), lines.end());
            const auto page = store_->list_versions("bucket", request);
            EXPECT_LE(page->versions.size(), size);
            if (!page->truncated) break;
            request.after_key = page->last_key;
            request.after_version = page->last_version;
        }
        EXPECT_EQ(collected, all) << "pages of " << size;
    }
}

TEST_F(VersionsTest, ListingsRollUpAndStartAnywhere) {
    const auto a = write("a", "x"), b1 = write("b/1", "x"), b2 = write("b/2", "x"), c = write("c", "x");
    EXPECT_EQ(listed({.delimiter = "/"}), (Lines{"a/" + a + "*", "c/" + c + "*", "b/…"}));
    EXPECT_EQ(listed({.prefix = "b/"}), (Lines{"b/1/" + b1 + "*", "b/2/" + b2 + "*"}));
    EXPECT_EQ(listed({.prefix = "b/", .after_key = "b/1"}), (Lines{"b/2/" + b2 + "*"}));
    EXPECT_EQ(listed({.delimiter = "/", .after_key = "b/"}), (Lines{"c/" + c + "*"}));
    EXPECT_EQ(listed({.after_key = "b/1", .after_version = std::string(32, '0')}),
              (Lines{"b/2/" + b2 + "*", "c/" + c + "*"}));
    const auto page = store_->list_versions("bucket", {.delimiter = "/", .max_versions = 2});
    EXPECT_TRUE(page->truncated);
    EXPECT_EQ(page->last_key, "b/");
    EXPECT_EQ(page->last_version, "");
    EXPECT_EQ(listed({.max_versions = 0}), Lines{});
}

TEST_F(VersionsTest, ManyRemovalsAreOneTransactionWithAnAnswerEach) {
    const auto one = write("a", "one"), two = write("a", "two");
    const std::vector<Removal> removals{{"a", one}, {"b"}, {"a", "nonsense"}, {"a", two, "other"}, {"a", two, "*"}};
    const auto removed = store_->remove("bucket", removals);
    ASSERT_TRUE(removed);
    ASSERT_EQ(removed->size(), 5u);
    EXPECT_EQ((*removed)[0]->version, one);
    EXPECT_TRUE((*removed)[1]->delete_marker);
    EXPECT_EQ((*removed)[2].error().detail, reason::kVersion);
    EXPECT_EQ((*removed)[3].error().detail, reason::kCondition);
    EXPECT_EQ((*removed)[4]->version, two);
    EXPECT_EQ(listed(), (Lines{"-b/" + (*removed)[1]->version + "*"}));
}

TEST_F(VersionsTest, RemovalsCompareWhatIsThere) {
    const auto one = write("k", "12345");
    const auto object = store_->head("bucket", "k");
    const auto attempt = [&](Removal removal) {
        removal.key = "k";
        const auto removed = store_->remove("bucket", std::vector<Removal>{removal});
        return !removed->front();
    };
    EXPECT_TRUE(attempt({.version = one, .if_size = 4}));
    EXPECT_TRUE(attempt({.version = one, .if_modified_at = object->modified + std::chrono::seconds(1)}));
    EXPECT_TRUE(attempt({.if_match = "0123"}));
    EXPECT_EQ(content("k"), "12345");
    EXPECT_FALSE(attempt({.if_match = object->etag, .if_modified_at = object->modified, .if_size = 5}));
    EXPECT_TRUE(attempt({.if_match = object->etag})) << "a delete marker has no ETag";
    EXPECT_FALSE(attempt({.if_match = "*"}));
    EXPECT_EQ(listed().size(), 3u);
    EXPECT_FALSE((*store_->remove("bucket", std::vector<Removal>{{"never", "", "*"}}))[0]->delete_marker);
    EXPECT_EQ(listed().size(), 3u) << "nothing to compare with: nothing happens";
}

TEST_F(VersionsTest, WriteConditionsSeeNoObjectUnderADeleteMarker) {
    PutOptions create;
    create.if_none_match = "*";
    ASSERT_TRUE(put("k", "one", create));
    EXPECT_EQ(put("k", "two", create).error().detail, reason::kCondition);
    erase("k");
    ASSERT_TRUE(put("k", "two", create));
    PutOptions other;
    other.if_none_match = store_->head("bucket", "k")->etag;
    EXPECT_EQ(put("k", "three", other).error().detail, reason::kCondition);
    other.if_none_match = "0123";
    EXPECT_TRUE(put("k", "three", other));
    erase("k");
    PutOptions any;
    any.if_match = "*";
    EXPECT_EQ(put("k", "four", any).error().detail, reason::kKey);
}

TEST_F(VersionsTest, TagsAndHeadersBelongToAVersion) {
    PutOptions options;
    options.tags = {{"a", "1"}};
    const auto one = put("k", "one", options)->version;
    const auto two = write("k", "two");
    EXPECT_EQ(store_->head("bucket", "k", one)->tags, (Tags{{"a", "1"}}));
    EXPECT_TRUE(store_->head("bucket", "k")->tags.empty());
    const auto tagged = store_->set_tags("bucket", "k", one, {{"b", "2"}, {"c", ""}});
    EXPECT_EQ(tagged->version, one);
    ASSERT_TRUE(store_->set_tags("bucket", "k", "", {{"d", "4"}}));
    ASSERT_TRUE(store_->set_header("bucket", "k", two, "x-amz-acl", "public-read"));
    reopen();
    EXPECT_EQ(store_->head("bucket", "k", one)->tags, (Tags{{"b", "2"}, {"c", ""}}));
    EXPECT_EQ(store_->head("bucket", "k")->tags, (Tags{{"d", "4"}}));
    EXPECT_EQ(store_->head("bucket", "k")->headers.at("x-amz-acl"), "public-read");
    ASSERT_TRUE(store_->set_header("bucket", "k", two, "x-amz-acl", std::nullopt));
    EXPECT_TRUE(store_->head("bucket", "k")->headers.empty());
    const auto marker = erase("k").version;
    EXPECT_EQ(store_->set_tags("bucket", "k", "", {}).error().detail, reason::kDeleteMarker);
    EXPECT_EQ(store_->set_tags("bucket", "k", marker, {}).error().kind, ErrorKind::Conflict);
}

TEST_F(VersionsTest, DocumentsAreKeptAndSeenAtOnce) {
    ASSERT_TRUE(store_->create_bucket("123456789012", "us-west-2", "other", {{"acl", "private"}}));
    const auto before = store_->find_bucket("other");
    EXPECT_EQ(*before->document("acl"), "private");
    EXPECT_EQ(before->document("policy"), nullptr);
    EXPECT_EQ(store_->find_bucket("other")->documents, before->documents) << "the same as long as nothing changes";
    ASSERT_TRUE(store_->set_document("other", "policy", "{}"));
    EXPECT_EQ(*store_->find_bucket("other")->document("policy"), "{}");
    reopen();
    EXPECT_EQ(*store_->find_bucket("other")->document("policy"), "{}");
    ASSERT_TRUE(store_->set_document("other", "policy", std::nullopt));
    EXPECT_EQ(store_->find_bucket("other")->document("policy"), nullptr);
    EXPECT_EQ(store_->set_document("nobody", "policy", "{}").error().detail, reason::kBucket);
    ASSERT_TRUE(store_->delete_bucket("other"));
    EXPECT_EQ(store_->find_bucket("other").error().detail, reason::kBucket);
    ASSERT_TRUE(store_->create_bucket("123456789012", "us-west-2", "other"));
    EXPECT_EQ(store_->find_bucket("other")->document("acl"), nullptr) << "a new bucket, with nothing of the old one";
}

TEST_F(VersionsTest, LargeVersionsKeepTheirFilesUntilTheyGo) {
    const std::string large(100'000, 'a'), larger(200'000, 'b');
    const auto one = write("k", large), two = write("k", larger);
    EXPECT_EQ(files().size(), 2u);
    EXPECT_EQ(*store_->remove_orphans(), 0u);
    erase("k");
    EXPECT_EQ(*store_->remove_orphans(), 0u);
    EXPECT_EQ(content_of("k", one), large);
    erase("k", one);
    EXPECT_EQ(files().size(), 1u);
    erase("k", two);
    EXPECT_TRUE(files().empty());
}

// What a server of the first schema left.
TEST_F(VersionsTest, AStoreOfTheFirstSchemaKeepsItsMeaning) {
    store_.reset();
    database_.reset();
    ASSERT_TRUE(remove_tree(folder_));
    ASSERT_TRUE(make_directories(folder_ + "/objects/ab"));
    const std::string file = "ab" + std::string(30, '0');
    ASSERT_TRUE(write_new_file(folder_ + "/objects/ab/" + file, "old bytes"));
    {
        auto database = *metadata_store::Database::open(folder_ + "/metadata.db");
        ASSERT_TRUE(database->migrate("object_store", {kMigrations.front()}));
        ASSERT_TRUE(database->write([&](metadata_store::Transaction& tx) -> Result<void> {
            TRY(tx.run("INSERT INTO bucket VALUES(7, 'bucket', '123456789012', 'us-west-2', 1000)"));
            TRY(
                tx.run("INSERT INTO object VALUES(7, 'k', ?, 9, 'etag', 2000, 'STANDARD', "
                       "'{\"type\":\"text/plain\",\"parts\":[9,1]}')",
                       file));
            TRY(
                tx.run("INSERT INTO upload(id, bucket, key, initiated, options) VALUES('u', 7, 'k', 3000, "
                       "'{\"type\":\"a/b\",\"class\":\"STANDARD\"}')"));
            return {};
        }));
    }
    reopen();
    EXPECT_EQ(*store_->remove_orphans(), 0u);
    EXPECT_EQ(store_->find_bucket("bucket")->versioning, Versioning::Off);
    EXPECT_EQ(content("k"), "old bytes");
    const auto object = store_->head("bucket", "k");
    EXPECT_EQ(object->version, "");
    EXPECT_EQ(object->content_type, "text/plain");
    EXPECT_EQ(parts_of(*object).size(), 1u);
    EXPECT_EQ(store_->find_upload("bucket", "k", "u")->options.content_type, "a/b");
    EXPECT_EQ(listed(), (Lines{"k/null*"}));
    ASSERT_TRUE(store_->set_versioning("bucket", Versioning::Enabled));
    const auto one = write("k", "new bytes");
    EXPECT_EQ(listed(), (Lines{"k/" + one + "*", "k/null"}));
    EXPECT_EQ(content_of("k", "null"), "old bytes");
}

}  // namespace
}  // namespace millwright::object_store
