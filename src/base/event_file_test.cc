#include "base/event_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/files.h"

namespace millwright {
namespace {

constexpr size_t kMany = 1'000'000;
constexpr size_t kMuch = size_t{1} << 30;

class EventFileTest : public ::testing::Test {
  protected:
    EventFileTest() {
        char name[] = "/tmp/event_file_test_XXXXXX";
        folder_ = mkdtemp(name);
        path_ = folder_ + "/stream";
    }
    ~EventFileTest() override { std::ignore = remove_tree(folder_); }

    void store(const std::string& text) { ASSERT_TRUE(write_file(path_, text).has_value()); }
    // `count` events at 1000, 1010, …; every seventh is long.
    void store_many(int count) {
        std::string text;
        for (int i = 0; i < count; ++i)
            append_event(text, 1000 + 10 * i, std::to_string(i) + std::string(i % 7 == 0 ? 30'000 : 5, 'x'));
        store(text);
    }
    std::string folder_, path_;
};

TEST_F(EventFileTest, MissingFilesHaveNoEvents) {
    EXPECT_TRUE(read_events(path_, 0, kMany, kMuch).value().empty());
    EXPECT_TRUE(read_events_before(path_, 0, kMany, kMuch).value().empty());
    EXPECT_EQ(end_of_events(path_).value(), 0u);
    EXPECT_EQ(find_event_at(path_, 5).value(), 0u);
}

TEST_F(EventFileTest, AnyMessageComesBackAsItWas) {
    const std::vector<std::string> messages{"",   "plain",     "two\nlines\n", "back\\slash \\n \\\\",
                                            "\\", "tab\t#011", "ü€😀",          " space "};
    std::string text;
    for (size_t i = 0; i < messages.size(); ++i) append_event(text, static_cast<int64_t>(i), messages[i]);
    store(text);
    const auto events = read_events(path_, 0, kMany, kMuch).value();
    ASSERT_EQ(events.size(), messages.size());
    for (size_t i = 0; i < messages.size(); ++i) {
        EXPECT_EQ(events[i].message, messages[i]);
        EXPECT_EQ(events[i].time_ms, static_cast<int64_t>(i));
        EXPECT_EQ(events[i].offset, i == 0 ? 0 : events[i - 1].end);
    }
    EXPECT_EQ(events.back().end, text.size());
}

TEST_F(EventFileTest, BytesThatAreNotUtf8AreReplaced) {
    std::string text;
    append_event(text, 1, "a\xff\xc3(b");
    store(text);
    EXPECT_EQ(read_events(path_, 0, kMany, kMuch).value().at(0).message, "a\uFFFD\uFFFD(b");
}

TEST_F(EventFileTest, LongMessagesAreCutBetweenCharacters) {
    std::string text, long_message(kMaxEventBytes - 1, 'x');
    append_event(text, 1, long_message + "€ and more");
    append_event(text, 2, std::string(kMaxEventBytes, '\n'));
    store(text);
    const auto events = read_events(path_, 0, kMany, kMuch).value();
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(events[0].message, long_message);
    EXPECT_EQ(events[1].message, std::string(kMaxEventBytes, '\n'));
    EXPECT_EQ(read_events_before(path_, text.size(), 1, 1).value().at(0).message.size(), kMaxEventBytes);
}

TEST_F(EventFileTest, ATornLastLineIsNotAnEventYet) {
    std::string whole;
    append_event(whole, 1, "one");
    store(whole + "2 tw");
    EXPECT_EQ(read_events(path_, 0, kMany, kMuch).value().size(), 1u);
    EXPECT_EQ(end_of_events(path_).value(), whole.size());
    store("2 tw");
    EXPECT_EQ(read_events(path_, 0, kMany, kMuch).value().size(), 0u);
    EXPECT_EQ(end_of_events(path_).value(), 0u);
    store(whole + std::string(200'000, 'y'));
    EXPECT_EQ(end_of_events(path_).value(), whole.size());
}

TEST_F(EventFileTest, LinesOfForeignFormAreShownWhole) {
    store("5 good\nnot ours\n\n6\n7 last\n");
    const auto events = read_events(path_, 0, kMany, kMuch).value();
    ASSERT_EQ(events.size(), 5u);
    EXPECT_EQ(events[1].message, "not ours");
    EXPECT_EQ(events[1].time_ms, 5);
    EXPECT_EQ(events[2].message, "");
    EXPECT_EQ(events[4].time_ms, 7);
    EXPECT_EQ(read_events_before(path_, 26, kMany, kMuch).value().size(), 5u);
}

TEST_F(EventFileTest, PagesForwardsAndBackwardsMeetEveryEventOnce) {
    store_many(200);
    const auto all = read_events(path_, 0, kMany, kMuch).value();
    ASSERT_EQ(all.size(), 200u);
    for (const auto& [events, bytes] : {std::pair<size_t, size_t>{1, kMuch}, {7, kMuch}, {kMany, 1}, {kMany, 70'000}}) {
        std::vector<LogEvent> forwards, backwards;
        for (uint64_t at = 0;;) {
            const auto page = read_events(path_, at, events, bytes).value();
            if (page.empty()) break;
            ASSERT_LE(page.size(), events);
            forwards.insert(forwards.end(), page.begin(), page.end());
            at = page.back().end;
        }
        for (uint64_t at = end_of_events(path_).value();;) {
            const auto page = read_events_before(path_, at, events, bytes).value();
            if (page.empty()) break;
            ASSERT_LE(page.size(), events);
            backwards.insert(backwards.begin(), page.begin(), page.end());
            at = page.front().offset;
        }
        for (const auto* found : {&forwards, &backwards}) {
            ASSERT_EQ(found->size(), all.size()) << events << " " << bytes;
            for (size_t i = 0; i < all.size(); ++i) {
                ASSERT_EQ((*found)[i].message, all[i].message);
                ASSERT_EQ((*found)[i].offset, all[i].offset);
                ASSERT_EQ((*found)[i].end, all[i].end);
            }
        }
    }
}

TEST_F(EventFileTest, RefusesPositionsBetweenEvents) {
    store("1 one\n2 two\n");
    for (const uint64_t offset : {1u, 5u, 13u, 1000u}) {
        EXPECT_EQ(read_events(path_, offset, 1, 1).error().kind, ErrorKind::InvalidInput) << offset;
        EXPECT_EQ(read_events_before(path_, offset, 1, 1).error().kind, ErrorKind::InvalidInput) << offset;
    }
    EXPECT_TRUE(read_events(path_, 12, 1, 1).has_value());
}

TEST_F(EventFileTest, FindsTimesByBisection) {
    store_many(200);
    const auto all = read_events(path_, 0, kMany, kMuch).value();
    for (size_t i = 0; i < all.size(); i += 13) {
        EXPECT_EQ(find_event_at(path_, all[i].time_ms).value(), all[i].offset);
        EXPECT_EQ(find_event_at(path_, all[i].time_ms - 9).value(), all[i].offset);
    }
    EXPECT_EQ(find_event_at(path_, 0).value(), 0u);
    EXPECT_EQ(find_event_at(path_, 1'000'000).value(), all.back().end);
    store("5 a\n5 b\n5 c\n6 d\n6 e\n");
    EXPECT_EQ(find_event_at(path_, 5).value(), 0u);
    EXPECT_EQ(find_event_at(path_, 6).value(), 12u);
    EXPECT_EQ(find_event_at(path_, 7).value(), 20u);
}

TEST_F(EventFileTest, RefusesALineBeyondAllLimits) {
    store("1 " + std::string(3 * kMaxEventBytes, 'x') + "\n");
    EXPECT_EQ(read_events(path_, 0, 1, 1).error().kind, ErrorKind::Internal);
    EXPECT_EQ(read_events_before(path_, 3 * kMaxEventBytes + 3, 1, 1).error().kind, ErrorKind::Internal);
}

}  // namespace
}  // namespace millwright
