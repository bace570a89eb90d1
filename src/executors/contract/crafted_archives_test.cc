// Archives made to break an unpacker, some hundreds of them from combinations: whatever they hold, nothing outside the
// folder is made, changed, linked or read, nothing special appears inside, and memory and time stay bounded.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <set>

#include "base/files.h"
#include "executors/contract/archive.h"
#include "executors/contract/crafted_tars.h"

namespace millwright::executors {
namespace {

namespace fs = std::filesystem;

using namespace crafted;

// --- The trial.

class CraftedArchives : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/mw_crafted_XXXXXX";
        top_ = mkdtemp(name);
        fs::create_directory(top_ + "/outside");
        ASSERT_TRUE(write_file(top_ + "/outside/precious", "untouched"));
        before_ = snapshot();
    }
    void TearDown() override { fs::remove_all(top_); }

    // Everything beside the folder: names, kinds, link counts, content.
    std::string snapshot() const {
        std::string out;
        for (const std::string& path : {top_, top_ + "/outside", top_ + "/outside/precious"}) {
            struct stat status {};
            EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
            out += path + " " + std::to_string(status.st_mode) + " " +
                   std::to_string(path == top_ ? 0 : status.st_nlink) + "\n";
        }
        std::set<std::string> names;
        for (const auto& item : fs::directory_iterator(top_)) names.insert(item.path().filename());
        for (const auto& item : fs::directory_iterator(top_ + "/outside")) names.insert(item.path().filename());
        names.erase("model");
        names.erase("archive");
        for (const std::string& one : names) out += one + "\n";
        out += read_file(top_ + "/outside/precious").value_or("missing");
        return out + (fs::exists("/tmp/escaped-by-millwright-test") || fs::exists("/escaped-by-millwright-test")
                          ? "escaped"
                          : "");
    }

    void check_inside(const std::string& name) const {
        const std::string root = fs::canonical(top_ + "/model");
        for (const auto& item : fs::recursive_directory_iterator(top_ + "/model")) {
            struct stat status {};
            ASSERT_EQ(lstat(item.path().c_str(), &status), 0);
            EXPECT_FALSE(status.st_mode & (S_ISUID | S_ISGID)) << name << " " << item.path();
            EXPECT_TRUE(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISLNK(status.st_mode))
                << name << " " << item.path();
        }
        EXPECT_EQ(fs::hard_link_count(top_ + "/outside/precious"), 1u) << name;
    }

    // Links are made last and proved together, so after a failure some may be there; success proves all of them.
    void check_links(const std::string& name) const {
        const std::string root = fs::canonical(top_ + "/model");
        for (const auto& item : fs::recursive_directory_iterator(top_ + "/model")) {
            if (!item.is_symlink()) continue;
            const std::string end = fs::weakly_canonical(item.path());
            EXPECT_TRUE(end == root || end.starts_with(root + "/")) << name << ": " << item.path() << " -> " << end;
        }
    }

    void unpack(const std::string& name, const std::string& bytes) {
        fs::create_directory(top_ + "/model");
        ASSERT_TRUE(write_file(top_ + "/archive", bytes));
        const Fd file = open_file(top_ + "/archive", O_RDONLY).value();
        ArchiveLimits limits;
        limits.max_entries = 2000;
        limits.max_bytes = 32 << 20;
        limits.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        const auto done = extract_archive(file.get(), bytes.size(), top_ + "/model", limits);
        ++(done ? unpacked_ : refused_);
        if (!done) {
            const ErrorKind kind = done.error().kind;
            EXPECT_TRUE(kind == ErrorKind::InvalidInput || kind == ErrorKind::LimitExceeded)
                << name << ": " << done.error().message << done.error().detail;
            EXPECT_EQ(done.error().message.find(top_), std::string::npos) << name;
        }
        EXPECT_EQ(snapshot(), before_) << name;
        check_inside(name);
        if (done) check_links(name);
        fs::remove_all(top_ + "/model");
        // A member by name takes another way through the same archive.
        const auto member = read_archive_member(file.get(), "inside", 1 << 20);
        EXPECT_LE(member ? member->size() : 0, size_t{1} << 20);
    }

    void run(const Cases& cases) {
        const auto start = std::chrono::steady_clock::now();
        for (const auto& [name, bytes] : cases) unpack(name, bytes);
        struct rusage usage {};
        getrusage(RUSAGE_SELF, &usage);
        std::cout
            << cases.size() << " archives: " << unpacked_ << " unpacked, " << refused_ << " refused, "
            << std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start).count()
            << " ms, at most " << usage.ru_maxrss / 1024 << " MiB\n";
    }

    std::string top_, before_;
    size_t unpacked_ = 0, refused_ = 0;
};

TEST_F(CraftedArchives, NothingOfThemReachesOutside) {
    Cases cases = tar_cases();
    ASSERT_GT(cases.size(), 200u);
    for (auto& [name, bytes] : cases) bytes = gzip(bytes);
    run(cases);
    EXPECT_GT(refused_, 200u);
    EXPECT_GT(unpacked_, 20u);  // odd names and metadata are harmless
}

TEST_F(CraftedArchives, DamagedOnesAreRefusedOrHarmless) {
    const Cases cases = raw_cases();
    ASSERT_GT(cases.size(), 200u);
    run(cases);
}

TEST_F(CraftedArchives, AShortArchiveCannotImplyMoreFoldersThanEntriesAreAllowed) {
    std::string entries;
    for (int i = 0; i < 60; ++i) {
        std::string path;
        for (int k = 0; k < 90; ++k) path += std::to_string(i) + "x" + std::to_string(k) + "/";
        entries += gnu_long('L', path + "f") + file("short", "");
    }
    fs::create_directory(top_ + "/model");
    const std::string bytes = gzip(finished(entries));
    ASSERT_TRUE(write_file(top_ + "/archive", bytes));
    const Fd opened = open_file(top_ + "/archive", O_RDONLY).value();
    ArchiveLimits limits;
    limits.max_entries = 1000;
    EXPECT_EQ(extract_archive(opened.get(), bytes.size(), top_ + "/model", limits).error().kind,
              ErrorKind::LimitExceeded);
}

}  // namespace
}  // namespace millwright::executors
