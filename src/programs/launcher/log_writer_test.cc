#include "programs/launcher/log_writer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/event_file.h"
#include "base/random.h"

namespace millwright::launcher {
namespace {

class LogWriterTest : public testing::Test {
  protected:
    void SetUp() override { path_ = testing::TempDir() + "/log-" + system_random().hex(8); }
    void TearDown() override { unlink(path_.c_str()); }
    LogWriter open() { return std::move(LogWriter::open(path_)).value(); }
    std::vector<LogEvent> events() const { return read_events(path_, 0, 100000, size_t{1} << 30).value(); }
    std::string path_;
};

TEST_F(LogWriterTest, WritesWhatAppendEventWrites) {
    const std::string lines[] = {"plain", "", "back\\slash", "\\", "tab\tand\rreturn", std::string("nul\0byte", 8)};
    std::string expected, fed;
    for (const std::string& line : lines) {
        append_event(expected, 1234, line);
        fed += line + "\n";
    }
    LogWriter writer = open();
    writer.feed(fed, 1234);
    writer.finish(1234);
    EXPECT_EQ(read_file(path_).value(), expected);
}

TEST_F(LogWriterTest, ChunksMayCutLinesAnywhere) {
    const std::string fed = "one\ntwo\\\n\nthree";
    LogWriter writer = open();
    for (const char byte : fed) writer.feed({&byte, 1}, 5);
    writer.finish(5);
    const auto found = events();
    ASSERT_EQ(found.size(), 4u);
    EXPECT_EQ(found[0].message, "one");
    EXPECT_EQ(found[1].message, "two\\");
    EXPECT_EQ(found[2].message, "");
    EXPECT_EQ(found[3].message, "three");
}

TEST_F(LogWriterTest, TimesNeverGoBackEvenAcrossWriters) {
    {
        LogWriter writer = open();
        writer.feed("a\n", 2000);
        writer.feed("b\n", 1000);
    }
    LogWriter writer = open();
    writer.feed("c\n", 1500);
    writer.feed("d\n", 2500);
    const auto found = events();
    ASSERT_EQ(found.size(), 4u);
    EXPECT_EQ(found[1].time_ms, 2000);
    EXPECT_EQ(found[2].time_ms, 2000);
    EXPECT_EQ(found[3].time_ms, 2500);
}

TEST_F(LogWriterTest, LongLinesAreCutBetweenCharacters) {
    std::string line = "x";
    while (line.size() < 3 * kMaxEventBytes) line += "\xE2\x82\xAC";  // three bytes each
    LogWriter writer = open();
    for (size_t at = 0; at < line.size(); at += 70000) writer.feed(std::string_view(line).substr(at, 70000), 1);
    writer.feed("\n", 1);
    std::string joined;
    for (const LogEvent& event : events()) {
        EXPECT_LE(event.message.size(), kMaxEventBytes);
        EXPECT_EQ(event.message.find("\xEF\xBF\xBD"), std::string::npos);  // no replaced bytes
        joined += event.message;
    }
    EXPECT_EQ(joined, line);
}

TEST_F(LogWriterTest, BeyondTheLimitOnlyTheLastLinesAreKept) {
    LogWriter writer = std::move(LogWriter::open(path_, 1000)).value();
    for (int i = 0; i < 20000; ++i) writer.feed("line " + std::to_string(i) + "\n", i);
    writer.feed(std::string(300000, 'z') + "\nValueError: last words", 20000);
    writer.finish(20001);
    const auto found = events();
    struct stat status {};
    ASSERT_EQ(stat(path_.c_str(), &status), 0);
    EXPECT_LT(status.st_size, 100000);
    size_t note = 0;
    while (note < found.size() && found[note].message.find("limit of the log") == std::string::npos) ++note;
    ASSERT_LT(note + 1, found.size());
    EXPECT_EQ(found[note - 1].message, "line " + std::to_string(note - 1));
    EXPECT_NE(found[note + 1].message.find("bytes of output were dropped here"), std::string::npos);
    EXPECT_EQ(found.back().message, "ValueError: last words");
    for (size_t i = 1; i < found.size(); ++i) EXPECT_GE(found[i].time_ms, found[i - 1].time_ms);
}

TEST_F(LogWriterTest, AFullDiskLosesOutputAndSaysSo) {
    signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    LogWriter writer = open();
    writer.feed("kept\n", 1);
    const rlimit small{100, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    writer.feed(std::string(500, 'y') + "\n", 2);
    writer.feed("lost\n", 3);
    setrlimit(RLIMIT_FSIZE, &before);
    writer.feed("kept again\n", 4);
    const auto found = events();
    ASSERT_EQ(found.size(), 4u);
    EXPECT_EQ(found[0].message, "kept");
    EXPECT_NE(found[2].message.find("bytes of output were lost"), std::string::npos);
    EXPECT_EQ(found[3].message, "kept again");
}

}  // namespace
}  // namespace millwright::launcher
