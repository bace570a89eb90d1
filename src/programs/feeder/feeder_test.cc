#include "programs/feeder/feeder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/gzip_for_tests.h"
#include "programs/feeder/epoch.h"
#include "programs/feeder/fifo.h"

namespace millwright::feeder {
namespace {

using executors::FeedChannel;
using executors::FeedSpec;
using namespace std::chrono_literals;

std::string u32(uint32_t value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }
std::string record(const std::string& payload) {
    return u32(0xCED7230A) + u32(static_cast<uint32_t>(payload.size())) + payload +
           std::string((4 - payload.size() % 4) % 4, '\0');
}
std::string item(char kind, uint64_t value, const std::string& text = "") {
    return std::string(1, kind) + std::string(reinterpret_cast<const char*>(&value), sizeof value) + text;
}
std::string noise(size_t size) {
    std::string bytes(size, '\0');
    uint32_t state = 1;
    for (char& byte : bytes) byte = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
    return bytes;
}

class FeederTest : public ::testing::Test {
  protected:
    void SetUp() override {
        signal(SIGPIPE, SIG_IGN);
        std::string pattern = ::testing::TempDir() + "feederXXXXXX";
        root_ = mkdtemp(pattern.data());
        spec_.folder = root_;
        input_ = root_ + "/algo-1/ml/input/data";
        ASSERT_TRUE(make_directories(input_));
    }
    void TearDown() override {
        if (child_ > 0) {
            kill(child_, SIGTERM);
            int status = 0;
            waitpid(child_, &status, 0);
            EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
        }
        EXPECT_TRUE(remove_tree(root_));
    }

    FeedChannel& add(const std::string& name, const std::vector<std::string>& objects) {
        const auto folder = executors::feed_folder(root_, spec_.channels.size());
        std::string names;
        EXPECT_TRUE(make_directories(folder + "/0"));
        for (size_t i = 0; i < objects.size(); ++i) {
            EXPECT_TRUE(write_file(executors::feed_object_path(folder, i), objects[i]));
            names += "s3://b/" + std::to_string(i) + '\0';
        }
        EXPECT_TRUE(write_file(executors::feed_names_path(folder), names));
        EXPECT_TRUE(write_file(executors::feed_items_path(folder), ""));
        auto& channel = spec_.channels.emplace_back();
        channel.name = name;
        channel.objects = channel.records = objects.size();
        channel.hosts = {"algo-1"};
        return channel;
    }

    // What one epoch of the first channel delivers.
    Result<std::string> deliver(uint64_t epoch = 0) {
        const auto source = ChannelSource::open(spec_.channels[0], executors::feed_folder(root_, 0));
        if (!source) return source.error();
        int ends[2];
        EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
        const Fd out(ends[0]);
        Fd in(ends[1]);
        EXPECT_EQ(fcntl(in.get(), F_SETFL, O_NONBLOCK), 0);
        Epoch flow(*source, 0, epoch);
        std::string got;
        std::vector<char> buffer(size_t{1} << 20);
        for (;;) {
            const auto pumped = TRY(flow.pump(in.get()));
            if (pumped == Pumped::Finished) in.reset();
            const auto bytes = ::read(out.get(), buffer.data(), buffer.size());
            if (bytes <= 0) return got;
            got.append(buffer.data(), static_cast<size_t>(bytes));
        }
    }

    void start() {
        child_ = fork();
        ASSERT_GE(child_, 0);
        if (child_ > 0) return;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        static_cast<void>(feed(spec_));
        _exit(1);
    }
    std::string fifo(const std::string& name) const { return input_ + "/" + name; }
    bool appears(const std::string& name) const {
        for (int i = 0; i < 10'000; ++i) {
            if (file_exists(fifo(name))) return true;
            std::this_thread::sleep_for(2ms);
        }
        return false;
    }
    std::string epoch(const std::string& name) const {
        if (!appears(name)) return "(missing)";
        const auto file = open_file(fifo(name), O_RDONLY);
        std::string got(size_t{4} << 20, '\0');
        size_t size = 0;
        for (ssize_t bytes = 1; bytes > 0 && size < got.size(); size += static_cast<size_t>(bytes))
            bytes = ::read(file->get(), got.data() + size, got.size() - size);
        got.resize(size);
        return got;
    }

    std::string root_;
    FeedSpec spec_;
    pid_t child_ = -1;
    std::string input_;
};

TEST_F(FeederTest, ObjectsFollowEachOtherWithoutSeparators) {
    const auto large = noise(3'000'000), medium = noise(200'001);
    add("train", {"a", large, "", "b\n", medium});
    EXPECT_TRUE(*deliver() == "a" + large + "b\n" + medium);
}

TEST_F(FeederTest, EveryObjectBecomesARecord) {
    const auto large = noise(300'001);
    add("train", {"abc", "", large, "four"}).wrap_in_recordio = true;
    EXPECT_TRUE(*deliver() == record("abc") + record("") + record(large) + record("four"));
}

TEST_F(FeederTest, UnpacksEveryMemberOfAnObject) {
    const auto large = noise(2'500'000);
    auto& channel =
        add("train", {gzip("one") + gzip("two"), gzip(large), gzip(""), gzip("end") + std::string(9, '\0')});
    channel.gunzip = true;
    EXPECT_TRUE(*deliver() == "onetwo" + large + "end");
    channel.wrap_in_recordio = true;
    EXPECT_TRUE(*deliver() == record("onetwo") + record(large) + record("") + record("end"));
}

TEST_F(FeederTest, DamagedArchivesAreNamed) {
    const auto good = gzip(noise(100'000));
    auto damaged = good;
    damaged[50'000] ^= 1;
    for (const auto& bad : {std::string("plain text"), std::string(), good.substr(0, 70'000), damaged, good + "tail"}) {
        spec_.channels.clear();
        add("train", {gzip("fine"), bad}).gunzip = true;
        const auto got = deliver();
        ASSERT_FALSE(got);
        EXPECT_EQ(got.error().kind, ErrorKind::InvalidInput);
        EXPECT_TRUE(got.error().message.starts_with("Unable to decompress s3://b/1: ")) << got.error().message;
    }
}

TEST_F(FeederTest, AttributesAreDeliveredOneByOne) {
    auto& channel = add("pairs", {"image 0", "image 1"});
    channel.items_per_record = channel.records = 2;
    ASSERT_TRUE(write_file(executors::feed_items_path(executors::feed_folder(root_, 0)),
                           item('o', 1) + item('t', 2, "17") + item('o', 0) + item('t', 0)));
    EXPECT_EQ(*deliver(), "image 117image 0");
    channel.wrap_in_recordio = true;
    EXPECT_EQ(*deliver(), record("image 1") + record("17") + record("image 0") + record(""));
}

TEST_F(FeederTest, ItemsThatAreNotWhatTheDescriptionSaysAreRefused) {
    auto& channel = add("pairs", {"x"});
    channel.items_per_record = 1;
    for (const auto& bad : {item('o', 1), item('t', 9, "short"), item('x', 0), item('o', 0) + "o", std::string()}) {
        ASSERT_TRUE(write_file(executors::feed_items_path(executors::feed_folder(root_, 0)), bad));
        EXPECT_FALSE(deliver());
    }
}

TEST_F(FeederTest, EveryEpochHasAnOrderOfItsOwn) {
    std::vector<std::string> objects;
    for (char c = 'a'; c <= 'z'; ++c) objects.emplace_back(1, c);
    add("train", objects).shuffle_seed = 3;
    auto first = *deliver(0);
    EXPECT_EQ(first, *deliver(0));
    EXPECT_NE(first, *deliver(1));
    std::sort(first.begin(), first.end());
    EXPECT_EQ(first, "abcdefghijklmnopqrstuvwxyz");
}

TEST_F(FeederTest, TheNextEpochIsThereAsSoonAsOneIsOpened) {
    const auto bytes = noise(3'000'000);
    add("train", {bytes});
    start();
    ASSERT_TRUE(appears("train_0"));
    std::this_thread::sleep_for(20ms);
    EXPECT_FALSE(file_exists(fifo("train_1")));
    const auto open = open_file(fifo("train_0"), O_RDONLY);
    ASSERT_TRUE(open);
    ASSERT_TRUE(appears("train_1"));
    EXPECT_TRUE(epoch("train_1") == bytes);  // while epoch 0 waits for its reader
    std::string first(100, '\0');
    EXPECT_EQ(::read(open->get(), first.data(), first.size()), 100);
    EXPECT_EQ(first, bytes.substr(0, 100));
    EXPECT_TRUE(epoch("train_2") == bytes);
}

TEST_F(FeederTest, AReaderMayLeaveEarly) {
    add("train", {noise(3'000'000)});
    start();
    for (int i = 0; i < 10; ++i) {
        const auto name = "train_" + std::to_string(i);
        ASSERT_TRUE(appears(name));
        const auto file = open_file(fifo(name), O_RDONLY);
        char byte = 0;
        if (i % 2 == 0) {
            EXPECT_EQ(::read(file->get(), &byte, 1), 1);
        }
    }
    EXPECT_EQ(epoch("train_10").size(), 3'000'000u);
    EXPECT_FALSE(file_exists(fifo("train_10")));  // it has ended
}

TEST_F(FeederTest, AReaderThatOnlyOpensAndClosesIsHeldBack) {
    add("train", {"x"});
    add("other", {"data"});
    start();
    const auto end = std::chrono::steady_clock::now() + 1500ms;
    int opened = 0;
    while (std::chrono::steady_clock::now() < end) {
        const auto file = open_file(fifo("train_" + std::to_string(opened)), O_RDONLY);
        if (file) ++opened;
    }
    EXPECT_LT(opened, 2600);
    EXPECT_EQ(epoch("other_0"), "data");
    EXPECT_EQ(epoch("train_" + std::to_string(opened)), "x");
}

TEST_F(FeederTest, ManyChannelsFlowAtOnce) {
    for (int i = 0; i < 20; ++i) add("c" + std::to_string(i), {"begin" + std::to_string(i), noise(100'000)});
    start();
    std::vector<Fd> open;
    for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(appears("c" + std::to_string(i) + "_0"));
        open.push_back(std::move(*open_file(fifo("c" + std::to_string(i) + "_0"), O_RDONLY)));
    }
    for (size_t i = open.size(); i-- > 0;) {
        std::string begin(7, '\0');
        ASSERT_GE(::read(open[i].get(), begin.data(), begin.size()), 6);
        EXPECT_TRUE(begin.starts_with("begin" + std::to_string(i)));
    }
}

TEST_F(FeederTest, WhatCannotBeDeliveredIsReported) {
    add("train", {"no gzip"}).gunzip = true;
    start();
    EXPECT_EQ(epoch("train_0"), "");
    for (int i = 0; i < 10'000 && !executors::read_feed_failure(root_); ++i) std::this_thread::sleep_for(2ms);
    ASSERT_TRUE(executors::read_feed_failure(root_));
    EXPECT_TRUE(executors::read_feed_failure(root_)->starts_with("ClientError: Unable to decompress s3://b/0"));
}

TEST_F(FeederTest, NothingButAFifoIsWrittenTo) {
    ASSERT_TRUE(write_file(root_ + "/precious", "untouched"));
    const Fd folder = std::move(*open_input_folder(root_, "algo-1"));
    ASSERT_EQ(symlink((root_ + "/precious").c_str(), fifo("link").c_str()), 0);
    ASSERT_EQ(symlink("other", fifo("dangling").c_str()), 0);
    ASSERT_TRUE(write_file(fifo("file"), "mine"));
    ASSERT_TRUE(make_directories(fifo("folder")));
    ASSERT_EQ(mkfifo((root_ + "/elsewhere").c_str(), 0644), 0);
    ASSERT_EQ(symlink((root_ + "/elsewhere").c_str(), fifo("to-fifo").c_str()), 0);
    for (const char* name : {"link", "dangling", "file", "folder", "to-fifo"}) {
        const auto made = offer_fifo(folder.get(), name, -1);
        ASSERT_FALSE(made) << name;
        EXPECT_EQ(made.error().kind, ErrorKind::Conflict) << name;
    }
    EXPECT_FALSE(file_exists(fifo("other")));
    EXPECT_EQ(*read_file(root_ + "/precious"), "untouched");
    EXPECT_EQ(*read_file(fifo("file")), "mine");
}

TEST_F(FeederTest, TheInputFolderIsNotReachedThroughLinks) {
    ASSERT_TRUE(make_directories(root_ + "/elsewhere/data"));
    ASSERT_TRUE(make_directories(root_ + "/algo-2/ml"));
    ASSERT_EQ(symlink((root_ + "/elsewhere").c_str(), (root_ + "/algo-2/ml/input").c_str()), 0);
    EXPECT_FALSE(open_input_folder(root_, "algo-2"));
}

TEST_F(FeederTest, ANameThatWasReplacedIsNotRemoved) {
    const Fd folder = std::move(*open_input_folder(root_, "algo-1"));
    const auto made = offer_fifo(folder.get(), "train_0", -1);
    ASSERT_TRUE(made);
    EXPECT_FALSE(has_reader(*made));
    ASSERT_EQ(unlink(fifo("train_0").c_str()), 0);
    ASSERT_TRUE(write_file(fifo("train_0"), "the job's own"));
    remove_fifo(folder.get(), *made);
    EXPECT_EQ(*read_file(fifo("train_0")), "the job's own");
}

TEST_F(FeederTest, AJobThatBreaksItsInputFolderDoesNotStopTheOthers) {
    add("good", {"data"});
    add("bad", {"data"});
    ASSERT_TRUE(write_file(fifo("bad_0"), "in the way"));
    start();
    EXPECT_EQ(epoch("good_0"), "data");
    EXPECT_EQ(epoch("good_1"), "data");
    EXPECT_EQ(*read_file(fifo("bad_0")), "in the way");
}

}  // namespace
}  // namespace millwright::feeder
