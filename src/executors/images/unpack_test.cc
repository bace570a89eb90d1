#include "executors/images/unpack.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/encoding.h"
#include "executors/images/image_fixture.h"

namespace millwright::executors {
namespace {

class UnpackTest : public testing::Test {
  protected:
    void SetUp() override {
        base_ = testing::TempDir() + "/unpack-" + system_random().hex(8);
        ASSERT_TRUE(make_directories(base_ + "/layer").has_value());
        ASSERT_TRUE(write_file(base_ + "/outside", "untouched").has_value());
    }
    void TearDown() override {
        EXPECT_EQ(read_file(base_ + "/outside").value_or(""), "untouched");
        EXPECT_TRUE(remove_tree(base_).has_value());
    }
    Result<Unpacked> unpack(const std::vector<TarEntry>& entries, Packing packing = Packing::Gzip) {
        return unpack_bytes(make_tar(entries, packing), make_tar(entries));
    }
    Result<Unpacked> unpack_bytes(const std::string& packed, const std::string& tar) {
        MemoryReader blob(packed);
        static_cast<void>(remove_tree(base_ + "/layer").has_value());
        EXPECT_TRUE(make_directories(base_ + "/layer").has_value());
        return unpack_layer(blob, digest_of(packed), digest_of(tar), base_ + "/layer", limits_,
                            [](uint64_t) { return Result<void>(); });
    }
    std::string refusal(const std::vector<TarEntry>& entries) {
        const auto done = unpack(entries);
        return done ? "it was unpacked" : done.error().message;
    }
    std::string content(const std::string& path) { return read_file(base_ + "/layer/" + path).value_or("<missing>"); }
    struct stat status(const std::string& path) {
        struct stat found {};
        EXPECT_EQ(lstat((base_ + "/layer/" + path).c_str(), &found), 0) << path;
        return found;
    }
    bool is_removal(const std::string& path) {
        const struct stat found = status(path);
        return S_ISCHR(found.st_mode) && found.st_rdev == makedev(0, 0);
    }
    bool is_opaque(const std::string& path) {
        char value = 0;
        return lgetxattr((base_ + "/layer/" + path).c_str(), "user.overlay.opaque", &value, 1) == 1 && value == 'y';
    }

    std::string base_;
    UnpackLimits limits_;
};

TEST_F(UnpackTest, FilesFoldersLinksModesAndTimesAreKept) {
    const std::vector<TarEntry> entries = {{"./", 'd', "", 0711},
                                           {"./usr/", 'd', "", 01777},
                                           {"usr/bin/tool", 'f', "#!tool", 04755, 1'500'000'000},
                                           {"/usr/absolute", 'f', "a"},
                                           {"usr/bin/same", 'h', "usr/bin/tool"},
                                           {"bin", 'l', "usr/bin"},
                                           {"anywhere", 'l', "/etc/../../..//shadow"},
                                           {"pipe", 'p'},
                                           {"dev/sda", 'c'},
                                           {"n\303\244me", 'f', "utf-8"},
                                           {"locked", 'd', "", 0500},
                                           {"locked/inside", 'f', "in"}};
    for (const Packing packing : {Packing::None, Packing::Gzip, Packing::Zstd}) {
        const auto done = unpack(entries, packing);
        ASSERT_TRUE(done.has_value()) << done.error().message;
        EXPECT_EQ(done->files, 4u);
        EXPECT_EQ(content("usr/bin/tool"), "#!tool");
        EXPECT_EQ(status("usr/bin/tool").st_mode & 07777, 0755u);
        EXPECT_EQ(status("usr/bin/tool").st_mtime, 1'500'000'000);
        EXPECT_EQ(status("usr/bin/same").st_ino, status("usr/bin/tool").st_ino);
        EXPECT_EQ(status("usr").st_mode & 07777, 01777u);
        EXPECT_EQ(status("usr").st_mtime, 1'600'000'000);
        EXPECT_EQ(status("").st_mode & 07777, 0711u);
        EXPECT_TRUE(S_ISLNK(status("anywhere").st_mode) && S_ISFIFO(status("pipe").st_mode));
        EXPECT_FALSE(file_exists(base_ + "/layer/dev/sda"));
        EXPECT_EQ(content("n\303\244me"), "utf-8");
        EXPECT_EQ(content("usr/absolute"), "a");
        EXPECT_EQ(status("locked").st_mode & 0777, 0700u);  // removable by its owner
    }
}

TEST_F(UnpackTest, RemovalsBecomeThoseOfOverlayfs) {
    const auto done = unpack({{"etc/.wh.passwd"},
                              {"var/", 'd'},
                              {"var/.wh..wh..opq"},
                              {"both/", 'd'},
                              {"both/kept", 'f', "kept"},
                              {".wh.both"},
                              {".wh.again"},
                              {"again/", 'd'},
                              {"again/new", 'f', "new"},
                              {"file", 'f', "this layer's"},
                              {".wh.file"},
                              {".wh..wh.plnk/1.2", 'f', "book"},
                              {".wh..wh.aufs"}});
    ASSERT_TRUE(done.has_value()) << done.error().message;
    EXPECT_TRUE(is_removal("etc/passwd"));
    EXPECT_TRUE(is_opaque("var"));
    EXPECT_TRUE(is_opaque("both"));
    EXPECT_EQ(content("both/kept"), "kept");
    EXPECT_TRUE(is_opaque("again"));
    EXPECT_EQ(content("again/new"), "new");
    EXPECT_EQ(content("file"), "this layer's");
    EXPECT_FALSE(file_exists(base_ + "/layer/.wh..wh.plnk"));
    EXPECT_EQ(refusal({{".wh..wh..opq"}}), "a layer that hides everything below it is not supported");
}

TEST_F(UnpackTest, NothingLeadsOutOfTheLayer) {
    EXPECT_NE(refusal({{"../outside", 'f', "x"}}).find("leads out"), std::string::npos);
    EXPECT_NE(refusal({{"a/../../outside", 'f', "x"}}).find("leads out"), std::string::npos);
    EXPECT_NE(refusal({{"x", 'h', "../outside"}}).find("leads out"), std::string::npos);
    EXPECT_NE(refusal({{"up", 'l', "../.."}, {"x", 'h', "up/outside"}}).find("not a file of the layer"),
              std::string::npos);
    EXPECT_NE(refusal({{".wh..."}}).find("removes nothing"), std::string::npos);
    EXPECT_NE(refusal({{".wh."}}).find("removes nothing"), std::string::npos);
    // Names through links mean what they mean in the image.
    for (const char* target : {"..", "/", "../../..", "/../.."}) {
        const auto done = unpack({{"up", 'l', target}, {"up/outside", 'f', "inside"}, {"up/.wh.gone"}});
        ASSERT_TRUE(done.has_value()) << done.error().message;
        EXPECT_EQ(content("outside"), "inside");
        EXPECT_TRUE(is_removal("gone"));
    }
    EXPECT_NE(refusal({{"link", 'l', "/proc/self/root"}, {"link/x", 'f', "x"}}), "it was unpacked");
    // A file written to a link's name replaces the link.
    const auto replaced = unpack({{"link", 'l', base_ + "/outside"}, {"link", 'f', "own"}});
    ASSERT_TRUE(replaced.has_value());
    EXPECT_EQ(content("link"), "own");
    // A link that was gone through is replaced by a folder.
    const auto moved = unpack({{"real/", 'd'}, {"a", 'l', "real"}, {"a/1", 'f', "1"}, {"a", 'd'}, {"a/2", 'f', "2"}});
    ASSERT_TRUE(moved.has_value());
    EXPECT_EQ(content("real/1"), "1");
    EXPECT_EQ(content("real/2"), "<missing>");
    EXPECT_EQ(content("a/2"), "2");
}

TEST_F(UnpackTest, ContradictionsAreRefused) {
    EXPECT_NE(refusal({{"a", 'f', "x"}, {"a/b", 'f', "x"}}).find("something lies in it"), std::string::npos);
    EXPECT_NE(refusal({{"a/b", 'f', "x"}, {"a", 'f', "x"}}).find("both a folder"), std::string::npos);
    EXPECT_NE(refusal({{"loop", 'l', "loop"}, {"loop/x", 'f', "x"}}).find("something lies in it"), std::string::npos);
    EXPECT_NE(refusal({{"x", 'h', "absent"}}).find("not a file of the layer"), std::string::npos);
    EXPECT_NE(refusal({{std::string(300, 'n'), 'f', "x"}}).find("too long"), std::string::npos);
}

TEST_F(UnpackTest, DamageAndWrongDigestsAreFound) {
    const std::vector<TarEntry> entries = {{"file", 'f', std::string(100'000, 'x')}};
    const std::string tar = make_tar(entries), packed = make_tar(entries, Packing::Gzip);
    EXPECT_TRUE(unpack_bytes(packed, tar).has_value());
    EXPECT_NE(unpack_bytes(packed, "another").error().message.find("configuration names"), std::string::npos);
    EXPECT_FALSE(unpack_bytes(packed.substr(0, packed.size() / 2), tar).has_value());
    EXPECT_FALSE(unpack_bytes(tar.substr(0, 50'000), tar.substr(0, 50'000)).has_value());
    for (const std::string& nonsense : {std::string(), std::string("no archive"), std::string(5000, 'x')})
        EXPECT_FALSE(unpack_bytes(nonsense, nonsense).has_value());
    MemoryReader blob(packed);
    EXPECT_NE(unpack_layer(blob, digest_of("other"), digest_of(tar), base_ + "/layer", limits_,
                           [](uint64_t) { return Result<void>(); })
                  .error()
                  .message.find("another digest"),
              std::string::npos);
    MemoryReader again(packed);
    const auto sha512 = [](const std::string& bytes) { return "sha512:" + to_hex(digest(DigestKind::Sha512, bytes)); };
    ASSERT_TRUE(remove_tree(base_ + "/layer").has_value() && make_directories(base_ + "/layer").has_value());
    EXPECT_TRUE(unpack_layer(again, sha512(packed), sha512(tar), base_ + "/layer", limits_, [](uint64_t) {
                    return Result<void>();
                }).has_value());
    // Bytes behind the archive belong to the digest.
    EXPECT_TRUE(unpack_bytes(tar + std::string(5000, '\0'), tar + std::string(5000, '\0')).has_value());
}

TEST_F(UnpackTest, LimitsAndStopsEndTheWork) {
    limits_.max_bytes = 1 << 20;
    limits_.max_entries = 10;
    EXPECT_EQ(unpack({{"zeros", 'f', std::string(3 << 20, '\0')}}).error().kind, ErrorKind::LimitExceeded);
    std::vector<TarEntry> many;
    for (int i = 0; i < 11; ++i) many.push_back({std::to_string(i)});
    EXPECT_EQ(unpack(many).error().kind, ErrorKind::LimitExceeded);
    // What follows the archive counts as well.
    std::string tail = make_tar({{"small"}});
    tail.append(3 << 20, '\0');
    EXPECT_EQ(unpack_bytes(tail, tail).error().kind, ErrorKind::LimitExceeded);
    limits_ = UnpackLimits{};
    limits_.disk_reserve_bytes = uint64_t{1} << 60;
    EXPECT_EQ(unpack({{"file", 'f', "x"}}).error().message, "the disk of the data directory has no room for the image");
    limits_ = UnpackLimits{};
    const std::string tar = make_tar({{"file", 'f', std::string(100'000, 'x')}});
    MemoryReader blob(tar);
    const auto stopped = unpack_layer(blob, digest_of(tar), digest_of(tar), base_ + "/layer", limits_, [](uint64_t at) {
        return at > 30'000 ? Result<void>(Error{ErrorKind::Conflict, "stopped", ""}) : Result<void>();
    });
    EXPECT_EQ(stopped.error().kind, ErrorKind::Conflict);
}

TEST_F(UnpackTest, OwnersAreKeptForRootOnly) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    const std::vector<TarEntry> entries = {{"home/", 'd', "", 0, 1, 1000, 1001},
                                           {"home/file", 'f', "x", 0, 1, 1000, 1001}};
    ASSERT_TRUE(unpack(entries).has_value());
    EXPECT_EQ(status("home/file").st_uid, 0u);
    limits_.keep_owners = true;
    ASSERT_TRUE(unpack(entries).has_value());
    EXPECT_EQ(status("home/file").st_uid, 1000u);
    EXPECT_EQ(status("home").st_gid, 1001u);
}

}  // namespace
}  // namespace millwright::executors
