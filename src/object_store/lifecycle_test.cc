#include "object_store/lifecycle.h"

#include <gtest/gtest.h>

#include "object_store/lifecycle_worker.h"
#include "object_store/testing.h"

namespace millwright::object_store {
namespace {

constexpr int64_t kDayMs = int64_t{24} * 3600 * 1000;

LifecycleRule rule(const std::string& prefix = "") {
    LifecycleRule made;
    made.id = "rule";
    made.filter.prefix = prefix;
    return made;
}

class LifecycleTest : public StoreTest {
  protected:
    void SetUp() override {
        StoreTest::SetUp();
        clock_.now_ms = to_epoch_milliseconds(*parse_iso8601("2026-11-01T10:00:00Z"));
    }
    void set_rules(const std::vector<LifecycleRule>& rules) {
        ASSERT_TRUE(store_->set_document("bucket", kLifecycleDocument, write_lifecycle(rules)));
    }
    void enable_versions() { ASSERT_TRUE(store_->set_versioning("bucket", Versioning::Enabled)); }
    void advance_days(int days) { clock_.now_ms += days * kDayMs; }
    // A round; answers its steps.
    int run_round(size_t page = 1000) {
        LifecycleWorker worker(*store_, clock_, {.page = page});
        int steps = 0;
        while (worker.step()) ++steps;
        return steps;
    }
    std::string write(const std::string& key, const std::string& bytes = "x", const Tags& tags = {}) {
        clock_.now_ms += 1;
        PutOptions options;
        options.tags = tags;
        return put(key, bytes, options)->version;
    }
    std::string erase(const std::string& key) {
        clock_.now_ms += 1;
        return (*store_->remove("bucket", std::vector<Removal>{{key}}))[0]->version;
    }
    std::vector<std::string> keys() {
        std::vector<std::string> found;
        const auto page = store_->list("bucket", {});
        for (const auto& object : page->objects) found.push_back(object.key);
        return found;
    }
    size_t count_versions() { return store_->list_versions("bucket", {})->versions.size(); }
    using Keys = std::vector<std::string>;
};

TEST(Lifecycle, CountsDaysToTheNextMidnight) {
    const auto at = [](const char* text) { return *parse_iso8601(text); };
    EXPECT_EQ(days_after(at("2026-11-01T10:00:00Z"), 1), at("2026-11-03T00:00:00Z"));
    EXPECT_EQ(days_after(at("2026-11-01T00:00:00Z"), 1), at("2026-11-02T00:00:00Z"));
    EXPECT_EQ(days_after(at("2026-11-01T10:00:00Z"), 3, {std::chrono::seconds(10)}), at("2026-11-01T10:00:30Z"));
}

TEST_F(LifecycleTest, ObjectsEndAfterTheirDays) {
    LifecycleRule one = rule("logs/"), off = rule("keep/");
    one.days = 1;
    off.days = 1;
    off.enabled = false;
    set_rules({one, off});
    write("logs/a");
    write("keep/a");
    write("other");
    advance_days(1);
    run_round();
    EXPECT_EQ(keys(), (Keys{"keep/a", "logs/a", "other"})) << "a day, and up to midnight";
    write("logs/b");
    advance_days(1);
    run_round();
    EXPECT_EQ(keys(), (Keys{"keep/a", "logs/b", "other"}));
    EXPECT_EQ(count_versions(), 3u);
}

TEST_F(LifecycleTest, ObjectsEndAtADate) {
    LifecycleRule past = rule("past/"), future = rule("future/");
    past.date = *parse_iso8601("2026-10-01T00:00:00Z");
    future.date = *parse_iso8601("2030-01-01T00:00:00Z");
    set_rules({past, future});
    write("past/a");
    write("future/a");
    run_round();
    EXPECT_EQ(keys(), Keys{"future/a"});
}

TEST_F(LifecycleTest, FiltersAskForTagsAndSizes) {
    LifecycleRule tagged = rule(), sized = rule("s/");
    tagged.days = sized.days = 1;
    tagged.filter.tags = {{"temporary", "yes"}, {"team", "a"}};
    sized.filter.larger_than = 1;
    sized.filter.smaller_than = 4;
    set_rules({tagged, sized});
    write("t/both", "x", {{"temporary", "yes"}, {"team", "a"}, {"more", ""}});
    write("t/one", "x", {{"temporary", "yes"}});
    write("t/other", "x", {{"temporary", "yes"}, {"team", "b"}});
    write("s/1", "x");
    write("s/3", "xxx");
    write("s/4", "xxxx");
    advance_days(3);
    run_round();
    EXPECT_EQ(keys(), (Keys{"s/1", "s/4", "t/one", "t/other"}));
}

TEST_F(LifecycleTest, TheCurrentVersionEndsUnderADeleteMarker) {
    enable_versions();
    LifecycleRule one = rule();
    one.days = 1;
    set_rules({one});
    const auto version = write("k");
    advance_days(3);
    run_round();
    run_round();
    EXPECT_TRUE(keys().empty());
    EXPECT_EQ(count_versions(), 2u) << "one marker, however often";
    EXPECT_EQ(content(*store_->get("bucket", "k", version)), "x");
}

TEST_F(LifecycleTest, OldVersionsEndAfterTheyWereReplaced) {
    enable_versions();
    LifecycleRule old = rule();
    old.noncurrent_days = 2;
    set_rules({old});
    const auto first = write("k", "one");
    advance_days(10);
    const auto second = write("k", "two");
    run_round();
    EXPECT_EQ(count_versions(), 2u) << "not the age of a version counts, but that of its successor";
    advance_days(1);
    write("k", "three");
    advance_days(2);
    run_round();
    EXPECT_FALSE(store_->head("bucket", "k", first));
    EXPECT_TRUE(store_->head("bucket", "k", second));
    advance_days(30);
    run_round();
    EXPECT_EQ(content("k"), "three");
    EXPECT_EQ(count_versions(), 1u);
}

TEST_F(LifecycleTest, TheNewestOfTheOldVersionsMayStay) {
    for (const size_t page : {1, 2, 3, 7, 1000}) {
        ASSERT_TRUE(store_->create_bucket("123456789012", "us-west-2", "pages"));
        ASSERT_TRUE(store_->set_versioning("pages", Versioning::Enabled));
        LifecycleRule old = rule();
        old.noncurrent_days = 1;
        old.newer_noncurrent = 5;
        ASSERT_TRUE(store_->set_document("pages", kLifecycleDocument, write_lifecycle({old})));
        for (const std::string key : {"a", "b", "c"})
            for (int i = 0; i < 10; ++i) ASSERT_TRUE(store_->put("pages", key, {}, source_of(std::to_string(i))));
        advance_days(3);
        const int steps = run_round(page);
        EXPECT_GE(static_cast<size_t>(steps) * page, 30u);
        const auto left = store_->list_versions("pages", {})->versions;
        EXPECT_EQ(left.size(), 18u) << "pages of " << page;
        std::vector<Removal> all;
        for (const auto& version : left) all.push_back({version.object.key, version.object.version});
        ASSERT_TRUE(store_->remove("pages", all));
        ASSERT_TRUE(store_->delete_bucket("pages"));
    }
}

TEST_F(LifecycleTest, DeleteMarkersGoWhenNothingIsBehindThem) {
    enable_versions();
    LifecycleRule markers = rule("a/"), aged = rule("b/");
    markers.expired_delete_markers = true;
    markers.noncurrent_days = 1;
    aged.days = 5;
    set_rules({markers, aged});
    for (const std::string key : {"a/k", "b/k", "c/k"}) {
        erase(key);
        if (key == "a/k") {
            write(key);
            erase(key);
        }
    }
    run_round();
    EXPECT_EQ(count_versions(), 5u) << "versions are behind the newest marker of a/k";
    advance_days(3);
    run_round();
    run_round();
    EXPECT_EQ(count_versions(), 2u) << "b/k and c/k";
    advance_days(4);
    run_round();
    EXPECT_EQ(store_->list_versions("bucket", {})->versions[0].object.key, "c/k");
    EXPECT_EQ(count_versions(), 1u);
}

TEST_F(LifecycleTest, UnfinishedUploadsAreAborted) {
    LifecycleRule uploads = rule("a/");
    uploads.abort_uploads_days = 2;
    set_rules({uploads});
    for (const std::string key : {"a/1", "a/2", "b/1"}) ASSERT_TRUE(store_->create_upload("bucket", key, {}));
    advance_days(4);
    ASSERT_TRUE(store_->create_upload("bucket", "a/3", {}));
    run_round(1);
    std::vector<std::string> left;
    const auto page = store_->list_uploads("bucket", {});
    for (const auto& upload : page->uploads) left.push_back(upload.key);
    EXPECT_EQ(left, (Keys{"a/3", "b/1"}));
}

TEST_F(LifecycleTest, WhatIsWrittenMeanwhileStays) {
    LifecycleRule one = rule();
    one.days = 1;
    set_rules({one});
    write("a", "old");
    write("b", "old");
    advance_days(3);
    LifecycleWorker worker(*store_, clock_, {.page = 1});
    ASSERT_TRUE(worker.step()) << "has seen a";
    write("a", "new");
    while (worker.step()) {
    }
    EXPECT_EQ(keys(), Keys{"a"});
    EXPECT_EQ(content("a"), "new");
}

TEST_F(LifecycleTest, ARoundEndsWhenTheRulesChange) {
    LifecycleRule one = rule();
    one.days = 1;
    set_rules({one});
    write("a");
    write("b");
    advance_days(3);
    LifecycleWorker worker(*store_, clock_, {.page = 1});
    ASSERT_TRUE(worker.step());
    ASSERT_TRUE(store_->set_document("bucket", kLifecycleDocument, std::nullopt));
    while (worker.step()) {
    }
    EXPECT_EQ(keys(), (Keys{"a", "b"}));
}

TEST_F(LifecycleTest, TheThreadWorksAndStops) {
    LifecycleRule one = rule();
    one.days = 1;
    set_rules({one});
    write("a");
    clock_.now_ms += 50;
    {
        const auto worker = LifecycleWorker::start(
            *store_, clock_, {.day = {std::chrono::milliseconds(10)}, .pause = std::chrono::milliseconds(5)});
        for (int i = 0; i < 1000 && !keys().empty(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        write("b");
        clock_.now_ms += 50;
        for (int i = 0; i < 1000 && !keys().empty(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_TRUE(keys().empty());
    const auto idle = LifecycleWorker::start(*store_, clock_, {});
    EXPECT_TRUE(idle) << "and ends at once, in the middle of its pause";
}

TEST_F(LifecycleTest, AClockThatLeapsAheadIsBelievedOnePauseLater) {
    constexpr auto kPause = std::chrono::milliseconds(200);
    LifecycleRule one = rule();
    one.days = 400;
    set_rules({one});
    write("old");
    advance_days(500);
    write("a");
    const auto worker = LifecycleWorker::start(*store_, clock_, {.pause = kPause});
    // The first round has looked at the clock.
    for (int i = 0; i < 1000 && keys() != Keys{"a"}; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ASSERT_EQ(keys(), Keys{"a"});
    const auto leap = std::chrono::steady_clock::now();
    advance_days(3650);
    for (int i = 0; i < 1000 && !keys().empty(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_TRUE(keys().empty());
    EXPECT_GE(std::chrono::steady_clock::now() - leap, kPause);
}

}  // namespace
}  // namespace millwright::object_store
