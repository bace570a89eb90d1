#include "executors/container/log_follower.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "base/event_file.h"
#include "base/random.h"
#include "base/strings.h"

namespace millwright::executors {
namespace {

std::string frame(int stream, std::string_view text) {
    std::string out(8, '\0');
    out[0] = static_cast<char>(stream);
    out[4] = static_cast<char>(text.size() >> 24);
    out[5] = static_cast<char>(text.size() >> 16);
    out[6] = static_cast<char>(text.size() >> 8);
    out[7] = static_cast<char>(text.size());
    return out + std::string(text);
}

std::string stamp(int millisecond) {
    char text[64];
    std::snprintf(text, sizeof text, "2026-11-23T10:%02d:%02d.%03d456789Z", millisecond / 60000,
                  millisecond / 1000 % 60, millisecond % 1000);
    return text;
}

class LogFollowerTest : public ::testing::Test {
  protected:
    LogFollowerTest() {
        std::string pattern = std::filesystem::temp_directory_path() / "log_follower_XXXXXX";
        folder_ = mkdtemp(pattern.data());
    }
    ~LogFollowerTest() override { std::filesystem::remove_all(folder_); }

    LogFollower open(uint64_t max_bytes = 0) {
        return LogFollower::open(folder_ + "/log", folder_ + "/position", max_bytes).value();
    }
    std::vector<std::string> messages() const {
        std::vector<std::string> out;
        const auto events = read_events(folder_ + "/log", 0, 100000, 1 << 28).value();
        for (const auto& event : events) out.push_back(event.message);
        return out;
    }

    std::string folder_;
};

TEST_F(LogFollowerTest, WritesLinesWithTheEnginesTimes) {
    auto follower = open();
    follower.begin();
    const std::string bytes = frame(1, stamp(1234) + " one\n") + frame(2, stamp(1300) + " two\\n\n");
    for (const char byte : bytes) EXPECT_TRUE(follower.feed(std::string_view(&byte, 1)).value());
    const auto events = read_events(folder_ + "/log", 0, 10, 1000).value();
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(events[0].message, "one");
    EXPECT_EQ(events[0].time_ms % 100000, 1795428001234 % 100000);
    EXPECT_EQ(events[1].message, "two\\n");
}

TEST_F(LogFollowerTest, JoinsThePartsOfALongLineOfEachStream) {
    auto follower = open();
    follower.begin();
    follower.feed(frame(1, stamp(0) + " be") + frame(2, stamp(1) + " error\n") + frame(1, stamp(2) + " gin\n")).value();
    follower.feed(frame(1, stamp(3) + " no end")).value();
    EXPECT_EQ(messages(), (std::vector<std::string>{"error", "begin"}));
    EXPECT_TRUE(follower.finish(""));
    EXPECT_EQ(messages().back(), "no end");
}

TEST_F(LogFollowerTest, SplitsWhatNoEventCanHold) {
    auto follower = open();
    follower.begin();
    const std::string much(kMaxEventBytes + 10, '\\');
    follower.feed(frame(1, stamp(0) + " " + much + "\n")).value();
    const auto lines = messages();
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0] + lines[1], much);
}

TEST_F(LogFollowerTest, RefusesWhatIsNotInFrames) {
    auto follower = open();
    follower.begin();
    EXPECT_FALSE(follower.feed("plain text of a terminal\n"));
}

// Killed at any moment, also between the log and its position, and started again: each line once, in order.
TEST_F(LogFollowerTest, GoesOnAfterAnyInterruptionWithoutLossOrRepetition) {
    std::vector<std::string> frames, expected;
    std::vector<int64_t> seconds;
    for (int i = 0, time = 0; i < 400; ++i) {
        time += static_cast<int>(system_random().below(i % 50 == 0 ? 2500 : 60));
        expected.push_back("line " + std::to_string(i));
        frames.push_back(frame(1 + i % 2, stamp(time) + " " + expected.back() + "\n"));
        seconds.push_back(1795428000 + time / 1000);
    }
    size_t done = 0;  // lines that the engine had produced at the interruption
    for (int round = 0; done < frames.size(); ++round) {
        auto follower = open();
        follower.begin();
        done = std::min(frames.size(), done + system_random().below(60));
        for (size_t i = 0; i < done; ++i)
            if (seconds[i] >= follower.since()) follower.feed(frames[i]).value();
        if (round % 2 == 0) continue;
        // What the server wrote last before it was killed, without having noted it.
        std::string more;
        append_event(more, 1795429000000, "written twice");
        const Fd log = open_file(folder_ + "/log", O_WRONLY | O_APPEND).value();
        write_all(log.get(), std::string_view(more).substr(0, 5 + system_random().below(20))).value();
    }
    EXPECT_EQ(messages(), expected);
}

TEST_F(LogFollowerTest, KeepsTheBeginOfALineOverAnInterruption) {
    {
        auto follower = open();
        follower.begin();
        follower.feed(frame(1, stamp(0) + " first half, ")).value();
    }
    auto follower = open();
    follower.begin();
    follower.feed(frame(1, stamp(0) + " first half, ") + frame(1, stamp(5) + " second half\n")).value();
    EXPECT_EQ(messages(), std::vector<std::string>{"first half, second half"});
}

TEST_F(LogFollowerTest, BeyondTheLimitOnlyTheLastLinesFollow) {
    auto follower = open(100);
    follower.begin();
    bool wanted = true;
    int fed = 0;
    for (; wanted; ++fed) wanted = follower.feed(frame(1, stamp(fed) + " 0123456789\n")).value();
    EXPECT_TRUE(follower.is_full());
    EXPECT_LT(fed, 12);
    auto again = open(100);  // a restarted server knows it
    EXPECT_TRUE(again.is_full());
    EXPECT_TRUE(again.finish(frame(1, stamp(0) + " 0123456789\n") + frame(1, stamp(900) + " the last words\n")));
    const auto lines = messages();
    ASSERT_GE(lines.size(), 3u);
    EXPECT_EQ(lines.back(), "the last words");
    EXPECT_TRUE(lines[lines.size() - 2].starts_with("[millwright] the limit of the log"));
}

}  // namespace
}  // namespace millwright::executors
