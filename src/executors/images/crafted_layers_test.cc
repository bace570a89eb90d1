// Layers made to break out of the folder they are unpacked into. Whatever they hold, nothing outside is made, changed
// or linked, nothing appears inside that an image may not have, the folder can be removed, and a refusal says why.
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <set>

#include "base/strings.h"
#include "executors/contract/crafted_tars.h"
#include "executors/images/image_fixture.h"
#include "executors/images/unpack.h"

namespace millwright::executors {
namespace {

namespace fs = std::filesystem;
using namespace crafted;

struct LayerCase {
    std::string name;
    std::string entries;  // a tar without its end
    std::string refusal;  // a part of the message; empty: it is unpacked
    std::map<std::string, std::string> files = {};
};

std::string device(const std::string& name, char type) { return tar_entry({name, type}); }
std::string whiteout(const std::string& name) { return file(name, ""); }

std::vector<LayerCase> name_cases() {
    std::string deep;
    for (int i = 0; i < 3000; ++i) deep += "d/";
    return {{"up", file("../outside/precious"), "leads out"},
            {"up later", file("a/../../outside/precious"), "leads out"},
            {"up by a pax header", pax(pax_record("path", "../outside/new")) + file("short"), "leads out"},
            {"up by a long name", gnu_long('L', "../../outside/new") + file("short"), "leads out"},
            {"only up", folder(".."), "leads out"},
            {"absolute", file("/escaped-by-millwright-test"), "", {{"escaped-by-millwright-test", "content"}}},
            {"absolute, many slashes", file("///etc//passwd"), "", {{"etc/passwd", "content"}}},
            {"the root as a file", file("."), "not a folder"},
            {"newline", file("a\nb"), "", {{"a\nb", "content"}}},
            {"not UTF-8", file("\xff\xfe"), "", {{"\xff\xfe", "content"}}},
            {"255 bytes", gnu_long('L', std::string(255, 'n')) + file("x"), "", {{std::string(255, 'n'), "content"}}},
            {"256 bytes", gnu_long('L', std::string(256, 'n')) + file("x"), "too long"},
            {"too deep", gnu_long('L', deep + "f") + file("x"), "too long"},
            {"backslashes", file("..\\..\\x"), "", {{"..\\..\\x", "content"}}}};
}

std::vector<LayerCase> link_cases() {
    std::vector<LayerCase> cases = {
        {"hard link up", hard("x", "../outside/precious"), "leads out"},
        {"hard link to an absolute name", hard("x", "/etc/passwd"), "not a file of the layer"},
        {"hard link through a link", symbolic("up", "../outside") + hard("x", "up/precious"), "not a file"},
        {"hard link through /proc", symbolic("p", "/proc/self/root") + hard("x", "p/etc/passwd"), "not a file"},
        {"hard link to a folder", folder("d") + hard("x", "d"), "not a file"},
        {"hard link to the root", hard("x", "/"), "leads out"},
        {"hard link to a removal", whiteout(".wh.gone") + hard("x", "gone"), "not a file"},
        {"hard link to itself", file("x") + hard("x", "x"), "", {{"x", "content"}}},
        {"hard link over a file that is written again",
         file("a", "old") + hard("b", "a") + file("b", "new"),
         "",
         {{"a", "old"}, {"b", "new"}}},
        {"link to nothing", symbolic("l", ""), "link to nothing"},
        {"link too long", gnu_long('K', std::string(5000, 'x')) + symbolic("l", "x"), "too long a path"},
        {"write through a link to a file", symbolic("l", "../outside/precious") + file("l", "own"), "", {{"l", "own"}}},
        {"write through a loop", symbolic("a", "b") + symbolic("b", "a") + file("a/x"), "something lies in it"},
        {"write through a link to a file as folder", file("f") + symbolic("l", "f") + file("l/x"),
         "something lies in it"},
        {"a link becomes a folder",
         symbolic("a", "../outside") + folder("a") + file("a/precious", "own"),
         "",
         {{"a/precious", "own"}}},
        {"a folder with files becomes a link", file("a/x") + symbolic("a", "../outside"), "both a folder"},
        {"a folder becomes a link before its end", folder("a") + symbolic("a", "../outside") + file("a/new", "own"),
         "leads nowhere"}};
    // Through links everything stays inside: they mean what they mean in the image.
    for (const char* to : {"..", "../outside", "/", "/proc/self/cwd", "/proc/self/fd/3", "../../../../.."})
        cases.push_back({std::string("write through a link to ") + to,
                         symbolic("l", to) + file("l/precious", "inside") + whiteout("l/.wh.removed") +
                             whiteout("l/sub/.wh..wh..opq"),
                         to == std::string("/proc/self/cwd") || to == std::string("/proc/self/fd/3") ||
                                 to == std::string("../outside")
                             ? "leads nowhere"
                             : "",
                         {}});
    return cases;
}

std::vector<LayerCase> whiteout_cases() {
    return {{"whiteout of ..", whiteout(".wh..."), "removes nothing"},
            {"whiteout of .", whiteout(".wh.."), "removes nothing"},
            {"whiteout of nothing", whiteout("d/.wh."), "removes nothing"},
            {"whiteout of .. in a folder", whiteout("d/.wh..."), "removes nothing"},
            {"whiteout below ..", whiteout("../.wh.precious"), "leads out"},
            {"whiteout through a link", symbolic("l", "/") + whiteout("l/.wh.etc"), ""},
            {"whiteout as a folder", folder(".wh.d") + file("f"), "", {{"f", "content"}}},
            {"whiteout as a link", symbolic(".wh.d", "../outside") + file("f"), "", {{"f", "content"}}},
            {"whiteout as a device", device(".wh.d", '4') + file("f"), "", {{"f", "content"}}},
            {"whiteout twice", whiteout(".wh.a") + whiteout(".wh.a"), ""},
            {"whiteout, then a file", whiteout(".wh.a") + file("a", "new"), "", {{"a", "new"}}},
            {"whiteout, then something in it", whiteout(".wh.a") + file("a/x"), "something lies in it"},
            {"a file below a whiteout's name", file(".wh.a/x") + file("f"), "", {{"f", "content"}}},
            {"whiteout of a long name", gnu_long('L', ".wh." + std::string(252, 'n')) + file("x"), "too long"},
            {"opaque root", whiteout(".wh..wh..opq"), "not supported"},
            {"opaque through a link out", symbolic("l", "../outside") + whiteout("l/.wh..wh..opq"), "leads nowhere"},
            {"opaque in a file", file("a") + whiteout("a/.wh..wh..opq"), "something lies in it"},
            {"opaque with content", file("d/.wh..wh..opq", "text") + file("d/f"), "", {{"d/f", "content"}}},
            {"old books", file(".wh..wh.plnk/1") + file(".wh..wh.aufs") + file("f"), "", {{"f", "content"}}}};
}

std::vector<LayerCase> kind_cases() {
    const auto with_header = [](const std::string& records, const std::string& entry) { return pax(records) + entry; };
    return {{"character device", device("dev/mem", '3') + file("f"), "", {{"f", "content"}}},
            {"block device", device("dev/sda", '4') + file("f"), "", {{"f", "content"}}},
            {"device over a file", file("a") + device("a", '3'), ""},
            {"FIFO", device("pipe", '6'), ""},
            {"FIFO as a folder", device("pipe", '6') + file("pipe/x"), "something lies in it"},
            {"set-id file", tar_entry({"su", '0', "x", "", "0006755"}), "", {{"su", "x"}}},
            {"set-id folder", tar_entry({"d", '5', "", "", "0007777"}) + file("d/f"), "", {{"d/f", "content"}}},
            {"folder without rights", tar_entry({"d", '5', "", "", "0000000"}) + file("d/f"), "", {{"d/f", "content"}}},
            {"capabilities of a file",
             with_header(pax_record("SCHILY.xattr.security.capability", std::string("\1\0\0\2\xff\xff\xff\xff", 8)),
                         file("f")),
             "",
             {{"f", "content"}}},
            {"attributes that overlayfs obeys",
             with_header(pax_record("SCHILY.xattr.user.overlay.opaque", "y") +
                             pax_record("SCHILY.xattr.trusted.overlay.redirect", "/outside") +
                             pax_record("SCHILY.xattr.user.overlay.redirect", "/outside"),
                         folder("d")) +
                 file("d/f"),
             "",
             {{"d/f", "content"}}},
            {"an owner beyond all numbers", with_header(pax_record("uid", "99999999999"), file("f")), ""},
            {"a time beyond all years", with_header(pax_record("mtime", "9999999999999999"), file("f")), ""},
            {"a file and a folder", file("a") + folder("a") + file("a/x"), "", {{"a/x", "content"}}},
            {"a folder and a file", folder("a") + file("a"), "", {{"a", "content"}}}};
}

std::vector<LayerCase> bomb_cases() {
    const auto sparse = [](const std::string& size) {
        return pax(pax_record("GNU.sparse.major", "0") + pax_record("GNU.sparse.minor", "1") +
                   pax_record("GNU.sparse.name", "holes") + pax_record("GNU.sparse.realsize", size) +
                   pax_record("GNU.sparse.map", "0,4")) +
               file("GNUSparseFile/holes", "data");
    };
    std::string many, folders;
    for (int i = 0; i < 2100; ++i) many += file("f" + std::to_string(i), "");
    for (int i = 0; i < 60; ++i) {
        std::string path;
        for (int k = 0; k < 90; ++k) path += std::to_string(i) + "x" + std::to_string(k) + "/";
        folders += gnu_long('L', path + "f") + file("short", "");
    }
    return {{"zeros", file("zeros", std::string(4 << 20, '\0')), "unpacks to more than 2 MiB"},
            {"a sparse terabyte", sparse("1099511627776"), "unpacks to more than 2 MiB"},
            {"many files", many, "too many entries"},
            {"many folders that no entry names", folders, "unpacks to more than 2 MiB"},
            {"name of 24 MiB", gnu_long('L', std::string(24 << 20, 'n')) + file("x"), "damaged"}};
}

class CraftedLayers : public testing::Test {
  protected:
    void SetUp() override {
        top_ = testing::TempDir() + "/crafted-" + system_random().hex(8);
        ASSERT_TRUE(make_directories(top_ + "/outside").has_value());
        ASSERT_TRUE(write_file(top_ + "/outside/precious", "untouched").has_value());
        limits_.max_bytes = 2 << 20;
        limits_.max_entries = 2000;
        limits_.keep_owners = geteuid() == 0;
        before_ = snapshot();
    }
    void TearDown() override { EXPECT_TRUE(remove_tree(top_).has_value()); }

    std::string snapshot() const {
        std::string out;
        std::set<std::string> names;
        for (const std::string& path : {top_, top_ + "/outside", top_ + "/outside/precious"}) {
            struct stat status {};
            EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
            out += std::to_string(status.st_mode) + " " + std::to_string(status.st_uid) + " ";
            if (!S_ISDIR(status.st_mode)) out += std::to_string(status.st_nlink);
        }
        for (const std::string& folder : {top_, top_ + "/outside"})
            for (const auto& item : fs::directory_iterator(folder)) names.insert(item.path().filename());
        names.erase("layer");
        for (const std::string& name : names) out += name + "\n";
        for (const char* path : {"/escaped-by-millwright-test", "/tmp/escaped-by-millwright-test"})
            if (file_exists(path)) out += path;
        return out + read_file(top_ + "/outside/precious").value_or("missing");
    }

    // Every name of a file is in the layer, and nothing is of a kind that an image may not have.
    void check_inside(const std::string& name) const {
        std::map<ino_t, std::pair<nlink_t, nlink_t>> names;
        for (const auto& item : fs::recursive_directory_iterator(top_ + "/layer")) {
            struct stat status {};
            ASSERT_EQ(lstat(item.path().c_str(), &status), 0);
            const mode_t mode = status.st_mode;
            EXPECT_FALSE(mode & (S_ISUID | S_ISGID)) << name << " " << item.path();
            EXPECT_TRUE(S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISFIFO(mode) ||
                        (S_ISCHR(mode) && status.st_rdev == makedev(0, 0)))
                << name << " " << item.path();
            char attributes[4096];
            const ssize_t size = llistxattr(item.path().c_str(), attributes, sizeof attributes);
            const std::string_view found(attributes, static_cast<size_t>(std::max<ssize_t>(size, 0)));
            EXPECT_TRUE(found.empty() || found == std::string_view("user.overlay.opaque", 20))
                << name << " " << item.path() << " " << found;
            if (S_ISDIR(mode)) continue;
            ++names[status.st_ino].first;
            names[status.st_ino].second = status.st_nlink;
        }
        for (const auto& [inode, counts] : names) EXPECT_EQ(counts.first, counts.second) << name;
    }

    Result<Unpacked> unpack(const std::string& name, const std::string& packed, const std::string& tar) {
        EXPECT_TRUE(make_directories(top_ + "/layer").has_value());
        MemoryReader blob(packed);
        auto done = unpack_layer(blob, digest_of(packed), digest_of(tar), top_ + "/layer", limits_,
                                 [](uint64_t) { return Result<void>(); });
        ++(done ? unpacked_ : refused_);
        if (!done) {
            const ErrorKind kind = done.error().kind;
            EXPECT_TRUE(kind == ErrorKind::InvalidInput || kind == ErrorKind::LimitExceeded ||
                        kind == ErrorKind::Denied)
                << name << ": " << done.error().message << done.error().detail;
            EXPECT_EQ(done.error().message.find(top_), std::string::npos) << name;
        }
        EXPECT_EQ(snapshot(), before_) << name;
        check_inside(name);
        return done;
    }
    void clear(const std::string& name) { EXPECT_TRUE(remove_tree(top_ + "/layer").has_value()) << name; }

    void run(const Cases& cases, bool packed) {
        for (const auto& [name, bytes] : cases) {
            static_cast<void>(unpack(name, packed ? bytes : gzip(bytes), bytes).has_value());
            clear(name);
        }
        tell(cases.size());
    }
    void tell(size_t cases) const {
        std::cout << cases << " layers: " << unpacked_ << " unpacked, " << refused_ << " refused\n";
    }

    std::string top_, before_;
    UnpackLimits limits_;
    size_t unpacked_ = 0, refused_ = 0;
};

TEST_F(CraftedLayers, EachIsRefusedForItsReasonOrHarmless) {
    std::vector<LayerCase> cases;
    for (const auto& more : {name_cases(), link_cases(), whiteout_cases(), kind_cases(), bomb_cases()})
        cases.insert(cases.end(), more.begin(), more.end());
    for (const LayerCase& one : cases) {
        const std::string tar = finished(one.entries);
        const auto done = unpack(one.name, gzip(tar), tar);
        const std::string said = done ? "" : done.error().message;
        EXPECT_EQ(done.has_value(), one.refusal.empty()) << one.name << ": " << said;
        EXPECT_TRUE(done.has_value() || said.find(one.refusal) != std::string::npos) << one.name << ": " << said;
        for (const auto& [path, content] : one.files)
            EXPECT_EQ(read_file(top_ + "/layer/" + path).value_or("<missing>"), content) << one.name;
        clear(one.name);
    }
    tell(cases.size());
    ASSERT_GT(cases.size(), 70u);
}

// What was made to break the unpacker of models is as bad as a layer.
TEST_F(CraftedLayers, NothingOfCraftedArchivesReachesOutside) {
    run(tar_cases(), false);
    EXPECT_GT(refused_, 200u);
    EXPECT_GT(unpacked_, 100u);
}

TEST_F(CraftedLayers, DamagedOnesAreRefusedOrHarmless) { run(raw_cases(), true); }

}  // namespace
}  // namespace millwright::executors
