#include "executors/contract/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"

namespace millwright::executors {
namespace {

namespace fs = std::filesystem;

// One tar entry, written by hand because no library writes the broken ones.
std::string entry(const std::string& name, char type = '0', const std::string& body = "", const std::string& link = "",
                  int mode = 0644) {
    std::string header(512, '\0');
    const auto put = [&](size_t at, size_t size, const std::string& text) {
        header.replace(at, std::min(size, text.size()), text, 0, std::min(size, text.size()));
    };
    const auto octal = [](uint64_t value, int digits) {
        char text[32];
        snprintf(text, sizeof text, "%0*llo", digits, static_cast<unsigned long long>(value));
        return std::string(text);
    };
    put(0, 100, name);
    put(100, 8, octal(static_cast<uint64_t>(mode), 7));
    put(108, 8, octal(0, 7));
    put(116, 8, octal(0, 7));
    put(124, 12, octal(body.size(), 11));
    put(136, 12, octal(0, 11));
    put(148, 8, "        ");
    header[156] = type;
    put(157, 100, link);
    put(257, 6, std::string("ustar\0", 6));
    put(263, 2, "00");
    uint64_t sum = 0;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    put(148, 8, octal(sum, 6) + std::string("\0 ", 2));
    std::string out = header + body;
    out.resize((out.size() + 511) / 512 * 512, '\0');
    return out;
}

// The same with a name or link of any length (GNU long names).
std::string long_entry(const std::string& name, char type = '0', const std::string& body = "",
                       const std::string& link = "") {
    std::string out = entry("././@LongLink", 'L', name + '\0');
    if (!link.empty()) out += entry("././@LongLink", 'K', link + '\0');
    return out + entry(name.substr(0, 99), type, body, link.substr(0, 99));
}

std::string finished(const std::string& entries) { return entries + std::string(1024, '\0'); }

std::string gzip(const std::string& bytes) {
    archive* writer = archive_write_new();
    archive_write_add_filter_gzip(writer);
    archive_write_set_format_raw(writer);
    std::vector<char> buffer(bytes.size() + 65536);
    size_t used = 0;
    archive_write_open_memory(writer, buffer.data(), buffer.size(), &used);
    archive_entry* item = archive_entry_new();
    archive_entry_set_filetype(item, AE_IFREG);
    archive_write_header(writer, item);
    archive_write_data(writer, bytes.data(), bytes.size());
    archive_entry_free(item);
    archive_write_close(writer);
    archive_write_free(writer);
    return {buffer.data(), used};
}

class ArchiveTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/mw_model_XXXXXX";
        top_ = mkdtemp(name);
        fs::create_directory(top_ + "/outside");
        EXPECT_TRUE(write_file(top_ + "/outside/precious", "untouched"));
    }
    void TearDown() override { fs::remove_all(top_); }

    // Unpacks into a fresh folder, and checks that nothing beside it changed.
    Result<void> extract(const std::string& archive_bytes, ArchiveLimits limits = {}) {
        fs::remove_all(model());
        fs::create_directory(model());
        EXPECT_TRUE(write_file(top_ + "/archive", archive_bytes));
        const Fd file = open_file(top_ + "/archive", O_RDONLY).value();
        const auto done = extract_archive(file.get(), archive_bytes.size(), model(), limits);
        std::vector<std::string> names;
        for (const auto& item : fs::directory_iterator(top_)) names.push_back(item.path().filename());
        std::sort(names.begin(), names.end());
        EXPECT_EQ(names, (std::vector<std::string>{"archive", "model", "outside"}));
        EXPECT_EQ(std::distance(fs::directory_iterator(top_ + "/outside"), fs::directory_iterator()), 1);
        EXPECT_EQ(*read_file(top_ + "/outside/precious"), "untouched");
        return done;
    }
    Result<void> extract_tar(const std::string& entries, ArchiveLimits limits = {}) {
        return extract(gzip(finished(entries)), limits);
    }
    std::string model() const { return top_ + "/model"; }
    std::string content(const std::string& path) { return read_file(model() + "/" + path).value_or("(missing)"); }

    std::string top_;
};

TEST_F(ArchiveTest, FilesFoldersAndInnerLinksAreUnpacked) {
    const std::string entries = entry("/", '5') + entry("./", '5') + entry("./xgboost-model", '0', "trees", "", 0600) +
                                entry("code/", '5') + entry("code/run.sh", '0', "#!", "", 04755) +
                                entry("deep/er/file", '0', "x") + entry("latest", '2', "", "deep/er/file") +
                                entry("twin", '1', "", "xgboost-model") +
                                long_entry(std::string(120, 'n') + "/f", '0', "long");
    const auto done = extract_tar(entries);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(content("xgboost-model"), "trees");
    EXPECT_EQ(content("latest"), "x");
    EXPECT_EQ(content("twin"), "trees");
    EXPECT_EQ(content(std::string(120, 'n') + "/f"), "long");
    struct stat status {};
    ASSERT_EQ(stat((model() + "/code/run.sh").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0755u) << "set-id bits are dropped";
}

TEST_F(ArchiveTest, OfANameThatOccursTwiceTheLastCounts) {
    ASSERT_TRUE(extract_tar(entry("a", '0', "first") + entry("b", '1', "", "a") + entry("a", '0', "second")));
    EXPECT_EQ(content("a"), "second");
    EXPECT_EQ(content("b"), "first") << "a file must not be written through a hard link";
}

TEST_F(ArchiveTest, NothingIsWrittenThroughALink) {
    for (const std::string target : {"../outside", "/tmp", ".", ".."}) {
        ASSERT_TRUE(extract_tar(entry("d", '2', "", target) + entry("d/precious", '0', "evil"))) << target;
        EXPECT_FALSE(fs::is_symlink(model() + "/d"));
        EXPECT_EQ(content("d/precious"), "evil");
    }
    ASSERT_TRUE(extract_tar(entry("f", '2', "", "../outside/precious") + entry("f", '0', "evil")));
    EXPECT_FALSE(fs::is_symlink(model() + "/f"));
}

TEST_F(ArchiveTest, HostileNamesAreRefusedForEveryKindOfEntry) {
    std::string deep;
    for (int i = 0; i < 101; ++i) deep += "d/";
    std::string wide;
    for (int i = 0; i < 20; ++i) wide += std::string(210, 'w') + "/";
    const std::string names[] = {"/abs",         "//abs",      "..",
                                 "../up",        "./../up",    "a/..",
                                 "a/../b",       "a/../../up", "a/b/../../../up",
                                 "a/./../../up", "../model/x", std::string(256, 'n'),
                                 deep + "x",     wide + "x"};
    int refused = 0;
    for (const std::string& name : names)
        for (const char type : {'0', '5', '2', '1'}) {
            const std::string link = type == '1' || type == '2' ? "ok" : "";
            const auto done = extract_tar(entry("ok", '0', "ok") + long_entry(name, type, "", link));
            ASSERT_FALSE(done) << name << " as " << type;
            EXPECT_EQ(done.error().kind, ErrorKind::InvalidInput)
                << name << " as " << type << ": " << done.error().detail;
            ++refused;
        }
    EXPECT_EQ(refused, 56);
    for (const char type : {'2', '1'})
        EXPECT_FALSE(extract_tar(entry("ok", '0', "ok") + entry("/", type, "", "ok"))) << type;
}

TEST_F(ArchiveTest, LinksThatLeadOutOrNowhereAreRefused) {
    const std::string file = entry("a/b/c/f", '0', "x");
    const std::string cases[] = {
        entry("l", '2', "", "/etc/passwd"),
        entry("l", '2', "", "../outside/precious"),
        entry("l", '2', "", "a/../../outside"),
        entry("l", '2', "", ".."),
        entry("l", '2', "", "missing"),
        entry("l", '2', "", "l"),
        entry("l", '2', "", "m") + entry("m", '2', "", "l"),
        entry("a/b/c/top", '2', "", "../../..") + entry("l", '2', "", "a/b/c/top/../outside"),
        entry("a/up", '2', "", "..") + entry("l", '2', "", "a/up/../outside/precious"),
        entry("l", '2', "", "/proc/self/root/etc"),
        long_entry("l", '2', "", std::string(4100, 'x')),
        entry("l", '1', "", "/etc/passwd"),
        entry("l", '1', "", "../outside/precious"),
        entry("l", '1', "", "missing"),
        entry("l", '1', "", "a"),
        entry("l", '1', "", "l"),
        entry("s", '2', "", "../outside/precious") + entry("l", '1', "", "s"),
        entry("l", '1', "", "a/b/../../../outside/precious"),
    };
    for (const std::string& entries : cases) {
        const auto done = extract_tar(file + entries);
        ASSERT_FALSE(done) << entries.substr(0, 100) << " -> " << entries.substr(157, 100);
        EXPECT_EQ(done.error().kind, ErrorKind::InvalidInput) << done.error().message << done.error().detail;
    }
}

TEST_F(ArchiveTest, DevicesAndOtherSpecialFilesAreRefused) {
    for (const char type : {'3', '4', '6'}) {
        const auto done = extract_tar(entry("special", type));
        ASSERT_FALSE(done) << type;
        EXPECT_EQ(done.error().kind, ErrorKind::InvalidInput);
    }
}

TEST_F(ArchiveTest, AFileCannotBeAFolder) {
    EXPECT_FALSE(extract_tar(entry("a", '0', "x") + entry("a/b", '0', "y")));
    EXPECT_FALSE(extract_tar(entry("a/b", '0', "x") + entry("a", '0', "y")));
    EXPECT_FALSE(extract_tar(entry("a/", '5') + entry("a", '2', "", "b")));
    EXPECT_FALSE(extract_tar(entry("a", '0', "x") + entry("a/", '5')));
}

TEST_F(ArchiveTest, DamagedArchivesAreRefused) {
    const std::string tar = finished(entry("a", '0', std::string(5000, 'x')) + entry("b", '0', std::string(3000, 'y')));
    const std::string good = gzip(tar);
    ASSERT_TRUE(extract(good));
    for (const size_t cut : {size_t{0}, size_t{5}, size_t{20}, good.size() / 2, good.size() - 9})
        EXPECT_FALSE(extract(good.substr(0, cut))) << "cut at " << cut;
    for (const size_t cut : {size_t{100}, size_t{512}, size_t{1000}, size_t{5600}, size_t{6700}})
        EXPECT_FALSE(extract(gzip(tar.substr(0, cut)))) << "cut inside at " << cut;
    std::string bad_checksum = tar;
    bad_checksum[0] = 'z';
    EXPECT_FALSE(extract(gzip(bad_checksum)));
    std::string flipped = good;
    flipped[good.size() / 2] = static_cast<char>(flipped[good.size() / 2] ^ 0x55);
    EXPECT_FALSE(extract(flipped));
    EXPECT_FALSE(extract("this is no archive at all, not even a little bit"));
    EXPECT_FALSE(extract(gzip(std::string(10000, 'g'))));
    EXPECT_FALSE(extract(std::string(70000, '\x1f')));
}

TEST_F(ArchiveTest, OneFileIsReadWithoutUnpacking) {
    EXPECT_TRUE(
        write_file(top_ + "/a", gzip(finished(entry("train.py", '0', "x") + entry("sub/requirements.txt", '0', "no") +
                                              entry("./requirements.txt", '0', "numpy\n")))));
    const Fd file = open_file(top_ + "/a", O_RDONLY).value();
    EXPECT_EQ(read_archive_member(file.get(), "requirements.txt", 100).value_or("?"), "numpy\n");
    EXPECT_EQ(read_archive_member(file.get(), "train.py", 1).value_or("?"), "x");
    EXPECT_EQ(read_archive_member(file.get(), "setup.py", 100).error().kind, ErrorKind::NotFound);
    EXPECT_EQ(read_archive_member(file.get(), "requirements.txt", 5).error().kind, ErrorKind::InvalidInput);
}

TEST_F(ArchiveTest, BombsStopAtTheLimits) {
    ArchiveLimits limits;
    limits.max_bytes = 100'000;
    EXPECT_EQ(extract_tar(entry("a", '0', std::string(200'000, 'x')), limits).error().kind, ErrorKind::LimitExceeded);
    EXPECT_LE(fs::file_size(model() + "/a"), 100'000u);
    limits = {};
    limits.max_entries = 10;
    std::string many;
    for (int i = 0; i < 11; ++i) many += entry("f" + std::to_string(i));
    EXPECT_EQ(extract_tar(many, limits).error().kind, ErrorKind::LimitExceeded);
    limits = {};
    limits.ratio_floor_bytes = 1 << 20;
    limits.max_ratio = 100;
    EXPECT_EQ(extract_tar(entry("zeros", '0', std::string(8 << 20, '\0')), limits).error().kind,
              ErrorKind::LimitExceeded);
    limits = {};
    limits.deadline = std::chrono::steady_clock::now() - std::chrono::seconds(1);
    EXPECT_EQ(extract_tar(entry("a"), limits).error().kind, ErrorKind::LimitExceeded);
}

}  // namespace
}  // namespace millwright::executors
