#include "resources/logs/logs.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <thread>

#include "base/files.h"

namespace millwright::resources {
namespace {

const GroupName kGroup{"111122223333", "us-west-2", "/aws/sagemaker/TrainingJobs"};

StreamName stream_name(std::string stream) { return {kGroup.account, kGroup.region, kGroup.group, std::move(stream)}; }

std::vector<std::string> messages(const EventPage& page) {
    std::vector<std::string> texts;
    for (const auto& event : page.events) texts.push_back(event.message);
    return texts;
}

class LogsTest : public ::testing::Test {
  protected:
    LogsTest() {
        char name[] = "/tmp/logs_test_XXXXXX";
        folder_ = mkdtemp(name);
        open();
    }
    ~LogsTest() override {
        logs_.reset();
        database_.reset();
        std::ignore = remove_tree(folder_);
    }
    void open() {
        logs_.reset();
        database_.reset();
        database_ = metadata_store::Database::open(folder_ + "/metadata.db").value();
        logs_ = Logs::open(folder_ + "/logs", *database_, system_clock(), system_random()).value();
    }
    void create(const std::string& stream) {
        if (!logs_->find_group(kGroup)) {
            ASSERT_TRUE(logs_->create_group(kGroup).has_value());
        }
        ASSERT_TRUE(logs_->create_stream(stream_name(stream)).has_value());
    }
    void put(const std::string& stream, const std::vector<PutEvent>& events) {
        const auto done = logs_->put_events(stream_name(stream), events);
        ASSERT_TRUE(done.has_value()) << done.error().message << done.error().detail;
    }
    LogStream find(const std::string& stream) { return logs_->find_stream(stream_name(stream)).value(); }
    SearchPage search(const SearchQuery& query) { return logs_->search(kGroup, query).value(); }
    // Everything a client sees that follows `next` to the end.
    std::string search_all(SearchQuery query) {
        std::string seen;
        for (;;) {
            const auto page = search(query);
            for (const auto& found : page.events) seen += found.event.message;
            if (!page.next) return seen;
            query.after = page.next;
        }
    }

    std::string folder_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<Logs> logs_;
};

TEST_F(LogsTest, NamesMustExistAndBeFree) {
    EXPECT_EQ(logs_->create_stream(stream_name("a")).error().detail, "group");
    create("a");
    EXPECT_EQ(logs_->create_group(kGroup).error().kind, ErrorKind::AlreadyExists);
    EXPECT_EQ(logs_->create_stream(stream_name("a")).error().kind, ErrorKind::AlreadyExists);
    EXPECT_EQ(logs_->find_stream(stream_name("b")).error().detail, "stream");
    EXPECT_EQ(logs_->put_events(stream_name("b"), {{1, "x"}}).error().detail, "stream");
    EXPECT_EQ(logs_->delete_stream(stream_name("b")).error().detail, "stream");
    EXPECT_EQ(logs_->list_streams({"1", "r", "none"}, {}).error().detail, "group");
    GroupName elsewhere = kGroup;
    elsewhere.region = "eu-west-1";
    EXPECT_EQ(logs_->find_group(elsewhere).error().kind, ErrorKind::NotFound);
}

TEST_F(LogsTest, EventsSurviveARestartAndTornLinesDoNot) {
    create("a");
    put("a", {{10, "one"}, {20, "two\nlines"}});
    {
        std::ofstream file(find("a").path, std::ios::app);
        file << "30 torn";
    }
    open();
    put("a", {{40, "three"}});
    const auto page = logs_->events_from(find("a"), std::nullopt, {}, 100).value();
    EXPECT_EQ(messages(page), (std::vector<std::string>{"one", "two\nlines", "three"}));
}

TEST_F(LogsTest, TimesNeverDecreaseInAStream) {
    create("a");
    put("a", {{100, "one"}});
    put("a", {{50, "late"}, {120, "two"}});
    const auto page = logs_->events_from(find("a"), std::nullopt, {}, 100).value();
    ASSERT_EQ(page.events.size(), 3u);
    EXPECT_EQ(page.events[1].time_ms, 100);
    EXPECT_EQ(page.events[2].time_ms, 120);
}

TEST_F(LogsTest, ConcurrentWritersKeepTheirBatchesWhole) {
    create("a");
    {
        std::vector<std::jthread> writers;
        for (int w = 0; w < 4; ++w)
            writers.emplace_back([&, w] {
                for (int i = 0; i < 8; ++i) {
                    const std::string tag = std::to_string(w) + "." + std::to_string(i);
                    put("a", {{1, tag}, {2, tag}, {3, tag}});
                }
            });
    }
    const auto page = logs_->events_from(find("a"), std::nullopt, {}, 1000).value();
    ASSERT_EQ(page.events.size(), 96u);
    for (size_t i = 0; i < 96; i += 3) {
        EXPECT_EQ(page.events[i].message, page.events[i + 1].message);
        EXPECT_EQ(page.events[i].message, page.events[i + 2].message);
    }
}

TEST_F(LogsTest, AJobStreamIsMadeOnceAndBelongsToTheJob) {
    const std::string path = logs_->open_job_stream(stream_name("job/algo-1")).value();
    EXPECT_TRUE(file_exists(path));
    EXPECT_EQ(logs_->open_job_stream(stream_name("job/algo-1")).value(), path);
    EXPECT_EQ(logs_->put_events(stream_name("job/algo-1"), {{1, "x"}}).error().kind, ErrorKind::Conflict);
    std::ofstream(path, std::ios::app) << "5 from the job\n";
    EXPECT_EQ(messages(logs_->events_from(find("job/algo-1"), std::nullopt, {}, 10).value()),
              std::vector<std::string>{"from the job"});
}

TEST_F(LogsTest, AnExhaustedPositionStaysAndLaterYieldsNewEvents) {
    create("a");
    const auto empty = logs_->events_from(find("a"), std::nullopt, {}, 10).value();
    EXPECT_TRUE(empty.events.empty());
    put("a", {{1, "one"}, {2, "two"}, {3, "three"}});
    const auto first = logs_->events_from(find("a"), empty.end, {}, 2).value();
    EXPECT_EQ(messages(first), (std::vector<std::string>{"one", "two"}));
    const auto second = logs_->events_from(find("a"), first.end, {}, 2).value();
    EXPECT_EQ(messages(second), std::vector<std::string>{"three"});
    for (int i = 0; i < 2; ++i) {
        const auto none = logs_->events_from(find("a"), second.end, {}, 2).value();
        EXPECT_TRUE(none.events.empty());
        EXPECT_EQ(none.end, second.end);
    }
    put("a", {{4, "four"}});
    EXPECT_EQ(messages(logs_->events_from(find("a"), second.end, {}, 2).value()), std::vector<std::string>{"four"});
    EXPECT_EQ(logs_->events_from(find("a"), 3, {}, 2).error().kind, ErrorKind::InvalidInput);
}

TEST_F(LogsTest, PagesBackwardsFromTheEnd) {
    create("a");
    put("a", {{1, "one"}, {2, "two"}, {3, "three"}});
    const auto last = logs_->events_before(find("a"), std::nullopt, {}, 2).value();
    EXPECT_EQ(messages(last), (std::vector<std::string>{"two", "three"}));
    const auto first = logs_->events_before(find("a"), last.begin, {}, 2).value();
    EXPECT_EQ(messages(first), std::vector<std::string>{"one"});
    const auto none = logs_->events_before(find("a"), first.begin, {}, 2).value();
    EXPECT_TRUE(none.events.empty());
    EXPECT_EQ(none.begin, first.begin);
    // The position after the last page leads forwards to what comes later.
    put("a", {{4, "four"}});
    EXPECT_EQ(messages(logs_->events_from(find("a"), last.end, {}, 2).value()), std::vector<std::string>{"four"});
}

TEST_F(LogsTest, TimeRangesAreHalfOpen) {
    create("a");
    put("a", {{10, "a"}, {20, "b"}, {20, "c"}, {30, "d"}, {40, "e"}});
    const TimeRange range{20, 40};
    EXPECT_EQ(messages(logs_->events_from(find("a"), std::nullopt, range, 100).value()),
              (std::vector<std::string>{"b", "c", "d"}));
    EXPECT_EQ(messages(logs_->events_before(find("a"), std::nullopt, range, 2).value()),
              (std::vector<std::string>{"c", "d"}));
    EXPECT_EQ(messages(logs_->events_before(find("a"), std::nullopt, range, 100).value()),
              (std::vector<std::string>{"b", "c", "d"}));
    EXPECT_TRUE(logs_->events_from(find("a"), std::nullopt, {50, std::nullopt}, 100).value().events.empty());
}

TEST_F(LogsTest, ListsStreamsByNameAndByLastEvent) {
    for (const char* stream : {"b/2", "a/1", "b/1", "b/3"}) create(stream);
    put("b/1", {{5, "x"}, {30, "x"}});
    put("a/1", {{20, "x"}});
    put("b/3", {{10, "x"}});
    LogStreamQuery query;
    query.prefix = "b/";
    query.limit = 2;
    auto page = logs_->list_streams(kGroup, query).value();
    ASSERT_EQ(page.items.size(), 2u);
    EXPECT_EQ(page.items[0].name, "b/1");
    EXPECT_EQ(page.items[0].first_event_ms, 5);
    EXPECT_EQ(page.items[0].last_event_ms, 30);
    EXPECT_FALSE(page.items[1].last_event_ms.has_value());
    EXPECT_TRUE(page.more);
    query.after_name = "b/2";
    page = logs_->list_streams(kGroup, query).value();
    ASSERT_EQ(page.items.size(), 1u);
    EXPECT_FALSE(page.more);
    query = {};
    query.prefix = "b/";
    query.descending = true;
    query.limit = 3;
    page = logs_->list_streams(kGroup, query).value();
    EXPECT_EQ(page.items.at(0).name, "b/3");
    EXPECT_FALSE(page.more) << "exactly as many as asked for";

    query = {};
    query.order = LogStreamQuery::Order::LastEvent;
    query.descending = true;
    query.limit = 1;
    std::string order;
    for (;;) {
        page = logs_->list_streams(kGroup, query).value();
        ASSERT_EQ(page.items.size(), 1u);
        order += page.items[0].name + " ";
        if (!page.more) break;
        query.after_name = page.items[0].name;
        query.after_ms = page.items[0].last_event_ms.value_or(0);
    }
    EXPECT_EQ(order, "b/1 a/1 b/3 b/2 ");
}

TEST_F(LogsTest, ListsGroupsByPrefixAndPattern) {
    for (const char* group : {"/a/x", "/a/y", "/b/X2"}) ASSERT_TRUE(logs_->create_group({"1", "r", group}).has_value());
    const auto names = [&](const LogGroupQuery& query) {
        std::string all;
        const auto page = logs_->list_groups("1", "r", query).value();
        for (const auto& group : page.items) all += group.name + " ";
        return all + (page.more ? "+" : "");
    };
    EXPECT_EQ(names({}), "/a/x /a/y /b/X2 ");
    EXPECT_EQ(names({"/a/", "", "", 50}), "/a/x /a/y ");
    EXPECT_EQ(names({"/a/", "", "/a/x", 50}), "/a/y ");
    EXPECT_EQ(names({"", "x", "", 1}), "/a/x +");
    EXPECT_EQ(names({"", "x", "/a/x", 1}), "/b/X2 ");
}

TEST_F(LogsTest, DeletingRemovesTheFiles) {
    create("a");
    create("b");
    put("a", {{1, "x"}});
    put("b", {{1, "x"}});
    const std::string a = find("a").path, b = find("b").path;
    ASSERT_TRUE(logs_->delete_stream(stream_name("a")).has_value());
    EXPECT_FALSE(file_exists(a));
    create("a");
    EXPECT_TRUE(logs_->events_from(find("a"), std::nullopt, {}, 10).value().events.empty());
    ASSERT_TRUE(logs_->delete_group(kGroup).has_value());
    EXPECT_FALSE(file_exists(b));
    EXPECT_EQ(logs_->find_group(kGroup).error().detail, "group");
    EXPECT_EQ(logs_->delete_group(kGroup).error().detail, "group");
}

TEST_F(LogsTest, SearchMergesStreamsByTimeWhateverThePageSize) {
    for (const char* stream : {"v/1", "v/2", "w/1"}) create(stream);
    put("v/1", {{1, "a"}, {3, "c"}, {5, "e"}, {5, "f"}});
    put("v/2", {{2, "b"}, {4, "d"}, {5, "g"}});
    put("w/1", {{3, "-"}});
    SearchQuery query;
    query.prefix = "v/";
    for (query.limit = 1; query.limit < 9; ++query.limit) EXPECT_EQ(search_all(query), "abcdefg") << query.limit;
    query.streams = {"v/2", "v/2"};
    EXPECT_EQ(search_all(query), "bdg");
    query.streams = {"v/2", "nobody"};
    EXPECT_EQ(logs_->search(kGroup, query).error().detail, "stream");
    query = {};
    query.range = {3, 5};
    EXPECT_EQ(search_all(query), "c-d");
}

TEST_F(LogsTest, SearchContinuesWithWhatIsWrittenLater) {
    create("a");
    put("a", {{1, "one "}});
    SearchQuery query;
    const auto first = search(query);
    ASSERT_TRUE(first.next.has_value()) << "a page with events always says where to go on";
    query.after = first.next;
    EXPECT_FALSE(search(query).next.has_value());
    put("a", {{1, "two "}, {2, "three "}});
    EXPECT_EQ(search_all(query), "two three ");
}

TEST_F(LogsTest, SearchFiltersAndStopsAfterMuchReading) {
    create("a");
    std::vector<PutEvent> events;
    for (int i = 0; i < 400; ++i) events.push_back({i, std::string(100'000, 'x') + (i % 200 == 199 ? "needle" : "")});
    put("a", events);
    SearchQuery query;
    query.pattern = FilterPattern::parse("needle").value();
    size_t pages = 0, found = 0;
    for (;; ++pages) {
        const auto page = search(query);
        found += page.events.size();
        if (!page.next) break;
        query.after = page.next;
    }
    EXPECT_EQ(found, 2u);
    EXPECT_GE(pages, 2u);
}

}  // namespace
}  // namespace millwright::resources
