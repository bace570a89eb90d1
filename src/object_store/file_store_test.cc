#include "object_store/file_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace millwright::object_store {
namespace {

class FileStoreTest : public testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(remove_tree(folder_));
        ASSERT_TRUE(make_directories(folder_));
        auto database = metadata_store::Database::open(folder_ + "/metadata.db");
        ASSERT_TRUE(database);
        database_ = std::move(*database);
        auto opened = FileStore::open(folder_ + "/objects", *database_, system_random());
        ASSERT_TRUE(opened);
        files_ = std::move(*opened);
    }
    void TearDown() override {
        database_.reset();
        ASSERT_TRUE(remove_tree(folder_));
    }

    const std::string folder_ = testing::TempDir() + "file_store_test." + std::to_string(::getpid());
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<FileStore> files_;
};

TEST_F(FileStoreTest, DropsADraftUnlessItIsKept) {
    std::string dropped, kept;
    {
        auto draft = files_->create();
        ASSERT_TRUE(draft);
        dropped = draft->id();
        auto other = files_->create();
        ASSERT_TRUE(other);
        ASSERT_TRUE(write_all_at(other->fd(), "bytes", 0));
        ASSERT_TRUE(other->sync());
        other->keep();
        kept = other->id();
    }
    EXPECT_EQ(files_->open_for_reading(dropped).error().kind, ErrorKind::NotFound);
    EXPECT_TRUE(files_->open_for_reading(kept));
}

TEST_F(FileStoreTest, RemovesFilesNobodyNamesButNoDrafts) {
    auto draft = files_->create();
    auto named = files_->create();
    ASSERT_TRUE(draft && named);
    const std::string named_id = named->id();
    named->keep();
    { auto over = std::move(*named); }
    const std::string orphan(32, 'a'), foreign = "not-an-id";
    ASSERT_TRUE(write_file(folder_ + "/objects/aa/" + orphan, "left by a crash"));
    ASSERT_TRUE(write_file(folder_ + "/objects/aa/" + foreign, "not ours"));
    size_t removed = 0;
    for (int shard = 0; shard < FileStore::kShards; ++shard) {
        const auto swept = files_->remove_orphans(
            shard, [&](const auto&) -> Result<std::set<std::string>> { return std::set<std::string>{named_id}; });
        ASSERT_TRUE(swept);
        removed += *swept;
    }
    EXPECT_EQ(removed, 1u);
    EXPECT_TRUE(files_->open_for_reading(draft->id()));
    EXPECT_TRUE(files_->open_for_reading(named_id));
    EXPECT_TRUE(file_exists(folder_ + "/objects/aa/" + foreign));
}

TEST_F(FileStoreTest, MaterializesAReadOnlyFileThatIsNotThereYet) {
    const std::string source = folder_ + "/source", target = folder_ + "/target";
    ASSERT_TRUE(write_file(source, "content"));
    const auto fd = open_file(source, O_RDONLY);
    ASSERT_TRUE(fd);
    ASSERT_TRUE(materialize(fd->get(), 7, target));
    EXPECT_EQ(*read_file(target), "content");
    EXPECT_EQ(materialize(fd->get(), 7, target).error().kind, ErrorKind::AlreadyExists);
    EXPECT_EQ(*read_file(target), "content");
}

TEST_F(FileStoreTest, CopiesWhenTheSourceHasNoNameLeft) {
    const std::string source = folder_ + "/source", target = folder_ + "/target";
    ASSERT_TRUE(write_file(source, "content"));
    const auto fd = open_file(source, O_RDONLY);
    ASSERT_TRUE(fd);
    ASSERT_EQ(::unlink(source.c_str()), 0);
    ASSERT_TRUE(materialize(fd->get(), 7, target));
    EXPECT_EQ(*read_file(target), "content");
    struct stat status {};
    ASSERT_EQ(::stat(target.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0222, 0u);
}

}  // namespace
}  // namespace millwright::object_store
