#include "executors/contract/artifacts.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "executors/contract/contract_fixture.h"

namespace millwright::executors {
namespace {

class ArtifactsTest : public ContractTest {
  protected:
    void write(const std::string& host, const std::string& path, const std::string& bytes) {
        const auto full = folder_ + "/" + host + "/ml/" + path;
        ASSERT_TRUE(make_directories(full.substr(0, full.rfind('/'))));
        ASSERT_TRUE(write_file(full, bytes));
    }
    Result<std::string> upload(int hosts, bool even_if_empty = true, ArtifactForm form = ArtifactForm::TarGzip) {
        return upload_artifacts(*store_, {folder_, hosts},
                                {.inside = "model",
                                 .name = "model",
                                 .target = {"bucket", "out/job/output/"},
                                 .form = form,
                                 .even_if_empty = even_if_empty});
    }
    // path -> content, or "-> target" for a link, or "/" for a folder.
    std::map<std::string, std::string> unpack(const std::string& key) {
        const auto bytes = bytes_of(key);
        std::map<std::string, std::string> files;
        archive* reader = archive_read_new();
        archive_read_support_filter_gzip(reader);
        archive_read_support_format_tar(reader);
        EXPECT_EQ(archive_read_open_memory(reader, bytes.data(), bytes.size()), ARCHIVE_OK);
        archive_entry* entry = nullptr;
        while (archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
            std::string content(static_cast<size_t>(archive_entry_size(entry)), '\0');
            if (!content.empty()) archive_read_data(reader, content.data(), content.size());
            if (archive_entry_filetype(entry) == AE_IFLNK) content = std::string("-> ") + archive_entry_symlink(entry);
            if (archive_entry_filetype(entry) == AE_IFDIR) content = "/";
            files[archive_entry_pathname(entry)] = content;
        }
        archive_read_free(reader);
        return files;
    }
};

TEST_F(ArtifactsTest, TheModelIsPackedFromInsideItsFolder) {
    write("algo-1", "model/xgboost-model", "bytes");
    write("algo-1", "model/sub/x", "more");
    const auto uri = upload(1);
    ASSERT_TRUE(uri) << uri.error().message << uri.error().detail;
    EXPECT_EQ(*uri, "s3://bucket/out/job/output/model.tar.gz");
    EXPECT_EQ(unpack("out/job/output/model.tar.gz"),
              (std::map<std::string, std::string>{{"xgboost-model", "bytes"}, {"sub/", "/"}, {"sub/x", "more"}}));
}

TEST_F(ArtifactsTest, TheSameModelGivesTheSameBytes) {
    write("algo-1", "model/b", "2");
    write("algo-1", "model/a", "1");
    ASSERT_TRUE(upload(1));
    const auto first = bytes_of("out/job/output/model.tar.gz");
    ASSERT_GT(first.size(), 8u);
    EXPECT_EQ(first.substr(4, 4), std::string(4, '\0'));  // no time of packing in the gzip header
    ASSERT_TRUE(upload(1));
    EXPECT_EQ(bytes_of("out/job/output/model.tar.gz"), first);
}

TEST_F(ArtifactsTest, HostsAreMergedAndTheFirstWins) {
    write("algo-1", "model/same", "one");
    write("algo-2", "model/same", "two");
    write("algo-2", "model/only-two", "two");
    write("algo-1", "model/kind", "a file here");
    write("algo-2", "model/kind/below", "a folder there");
    ASSERT_TRUE(upload(2));
    EXPECT_EQ(unpack("out/job/output/model.tar.gz"),
              (std::map<std::string, std::string>{{"same", "one"}, {"only-two", "two"}, {"kind", "a file here"}}));
}

TEST_F(ArtifactsTest, LinksOutOfTheModelAndPipesAreLeftOut) {
    write("algo-1", "model/sub/real", "x");
    const auto model = folder_ + "/algo-1/ml/model/";
    ASSERT_TRUE(write_file(root_ + "/secret", "secret"));
    ASSERT_EQ(symlink((root_ + "/secret").c_str(), (model + "absolute").c_str()), 0);
    ASSERT_EQ(symlink("../../../secret", (model + "relative").c_str()), 0);
    ASSERT_EQ(symlink("sub/../../../x", (model + "winding").c_str()), 0);
    ASSERT_EQ(symlink("sub/real", (model + "inside").c_str()), 0);
    ASSERT_EQ(symlink(root_.c_str(), (model + "folder").c_str()), 0);
    ASSERT_EQ(mkfifo((model + "pipe").c_str(), 0600), 0);
    ASSERT_TRUE(upload(1));
    EXPECT_EQ(unpack("out/job/output/model.tar.gz"),
              (std::map<std::string, std::string>{{"sub/", "/"}, {"sub/real", "x"}, {"inside", "-> sub/real"}}));
}

TEST_F(ArtifactsTest, AModelFolderThatBecameALinkIsNotFollowed) {
    ASSERT_TRUE(make_directories(folder_ + "/algo-1/ml"));
    ASSERT_TRUE(write_file(root_ + "/secret", "secret"));
    ASSERT_EQ(symlink(root_.c_str(), (folder_ + "/algo-1/ml/model").c_str()), 0);
    ASSERT_TRUE(upload(1));
    EXPECT_TRUE(unpack("out/job/output/model.tar.gz").empty());
}

TEST_F(ArtifactsTest, AnEmptyFolderIsAnEmptyArchiveOrNothing) {
    ASSERT_TRUE(make_directories(folder_ + "/algo-1/ml/model"));
    EXPECT_EQ(*upload(1, false), "");
    EXPECT_FALSE(store_->head("bucket", "out/job/output/model.tar.gz"));
    EXPECT_EQ(*upload(1, true), "s3://bucket/out/job/output/model.tar.gz");
    EXPECT_TRUE(unpack("out/job/output/model.tar.gz").empty());
}

TEST_F(ArtifactsTest, UncompressedOutputIsOneObjectPerFile) {
    write("algo-1", "model/a", "1");
    write("algo-1", "model/sub/b", "2");
    EXPECT_EQ(*upload(1, true, ArtifactForm::Files), "s3://bucket/out/job/output/model/");
    EXPECT_EQ(bytes_of("out/job/output/model/a"), "1");
    EXPECT_EQ(bytes_of("out/job/output/model/sub/b"), "2");
}

TEST_F(ArtifactsTest, HolesCostNothing) {
    constexpr off_t kSize = off_t{64} << 30, kPlace = off_t{40} << 30;
    write("algo-1", "model/small", "x");
    for (const char* name : {"empty", "with-bytes"}) {
        write("algo-1", std::string("model/") + name, "");
        ASSERT_EQ(truncate((folder_ + "/algo-1/ml/model/" + name).c_str(), kSize), 0);
    }
    const auto file = open_file(folder_ + "/algo-1/ml/model/with-bytes", O_WRONLY);
    ASSERT_EQ(pwrite(file->get(), "here", 4, kPlace), 4);
    ASSERT_TRUE(upload(1));
    const auto bytes = bytes_of("out/job/output/model.tar.gz");
    EXPECT_LT(bytes.size(), 10'000u);

    archive* reader = archive_read_new();
    archive_read_support_filter_gzip(reader);
    archive_read_support_format_tar(reader);
    ASSERT_EQ(archive_read_open_memory(reader, bytes.data(), bytes.size()), ARCHIVE_OK);
    std::map<std::string, std::string> found;
    archive_entry* entry = nullptr;
    while (archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
        const std::string name = archive_entry_pathname(entry);
        EXPECT_EQ(archive_entry_size(entry), name == "small" ? 1 : kSize) << name;
        const void* block = nullptr;
        size_t size = 0;
        la_int64_t offset = 0;
        found[name];
        while (archive_read_data_block(reader, &block, &size, &offset) == ARCHIVE_OK) {
            const std::string_view part(static_cast<const char*>(block), size);
            const auto at = part.find_first_not_of('\0');
            if (at != part.npos) found[name] = std::to_string(offset + static_cast<la_int64_t>(at)) + " " + part[at];
        }
    }
    archive_read_free(reader);
    EXPECT_EQ(found, (std::map<std::string, std::string>{
                         {"small", "0 x"}, {"empty", ""}, {"with-bytes", std::to_string(kPlace) + " h"}}));
}

TEST_F(ArtifactsTest, HolesDoNotFillTheStore) {
    for (const char* name : {"a", "b"}) {
        write("algo-1", std::string("model/") + name, "x");
        ASSERT_EQ(truncate((folder_ + "/algo-1/ml/model/" + name).c_str(), off_t{9} << 30), 0);
    }
    const auto uri = upload(1, true, ArtifactForm::Files);
    ASSERT_FALSE(uri);
    EXPECT_EQ(uri.error().kind, ErrorKind::InvalidInput);
    EXPECT_EQ(uri.error().message,
              "/opt/ml/model cannot be uploaded: there are more than 16 GiB of holes in the files.");
    EXPECT_TRUE(upload(1));
}

TEST_F(ArtifactsTest, AMissingBucketIsReported) {
    write("algo-1", "model/a", "1");
    const auto uri =
        upload_artifacts(*store_, {folder_, 1}, {.inside = "model", .name = "model", .target = {"gone", "x/"}});
    ASSERT_FALSE(uri);
    EXPECT_EQ(uri.error().kind, ErrorKind::NotFound);
}

}  // namespace
}  // namespace millwright::executors
