#include "registry/audit.h"

#include <sys/stat.h>

#include "metadata_store/read_only.h"
#include "registry/testing.h"

namespace millwright::registry {
namespace {

class AuditTest : public RegistryTest {
  protected:
    Audit audit(bool deep, const std::string& folder = "") {
        const auto connection = metadata_store::open_read_only(folder_ + "/metadata.db");
        EXPECT_TRUE(connection);
        const auto found = audit_registry(**connection, folder.empty() ? folder_ + "/registry" : folder, {deep});
        EXPECT_TRUE(found) << found.error().detail;
        return found ? *found : Audit{};
    }
    std::string file_of(const std::string& digest) {
        const auto row = database_->read([&](metadata_store::Connection& connection) {
            return connection.query_one("SELECT file FROM image_blob WHERE digest=?", digest);
        });
        const std::string file = (*row)->text(0);
        return folder_ + "/registry/" + file.substr(0, 2) + "/" + file;
    }
};

TEST_F(AuditTest, FindsNothingWrongWithASoundRegistry) {
    push({"one", "two"}, "v1");
    const auto upload = registry_->begin_upload(repository_);
    ASSERT_TRUE(registry_->append(repository_, upload->id, {}, source_of("part")));
    const Audit found = audit(true);
    EXPECT_EQ(found.damaged, 0u);
    EXPECT_EQ(found.images, 1u);
    EXPECT_EQ(found.blobs, 3u);
    EXPECT_EQ(found.bytes, 8u);
    EXPECT_EQ(found.uploads, 1u);
    EXPECT_TRUE(found.orphans.empty());
}

TEST_F(AuditTest, TellsWhatIsDamaged) {
    push({"one", "two"}, "v1");
    ASSERT_EQ(::chmod(file_of(sha256_of("one")).c_str(), 0600), 0);
    ASSERT_TRUE(write_file(file_of(sha256_of("one")), "eno"));
    EXPECT_EQ(audit(false).damaged, 0u) << "of the same size";
    const Audit deep = audit(true);
    ASSERT_EQ(deep.damages.size(), 1u);
    EXPECT_NE(deep.damages.front().find("another digest"), std::string::npos) << deep.damages.front();
    ASSERT_TRUE(write_file(file_of(sha256_of("one")), "longer"));
    ASSERT_EQ(::unlink(file_of(sha256_of("two")).c_str()), 0);
    EXPECT_EQ(audit(false).damaged, 2u);
    ASSERT_TRUE(database_->write([](metadata_store::Transaction& tx) {
        return tx.run("DELETE FROM image_repository_blob WHERE digest=?", sha256_of("{}"));
    }));
    EXPECT_EQ(audit(false).damaged, 3u) << "an image without its configuration";
    ASSERT_TRUE(write_file(folder_ + "/registry/ab/left", "x"));
    EXPECT_EQ(audit(false).orphans.size(), 1u);
}

TEST_F(AuditTest, ACopyIsSound) {
    push({"one", "two"}, "v1");
    const auto upload = registry_->begin_upload(repository_);
    ASSERT_TRUE(registry_->append(repository_, upload->id, {}, source_of("part")));
    const auto connection = metadata_store::open_read_only(folder_ + "/metadata.db");
    const auto copied = copy_registry(**connection, folder_ + "/registry", folder_ + "/copy");
    ASSERT_TRUE(copied) << copied.error().detail;
    EXPECT_EQ(copied->linked + copied->copied, 4u);
    ASSERT_TRUE(registry_->append(repository_, upload->id, {}, source_of(" more")));
    const Audit found = audit(true, folder_ + "/copy");
    EXPECT_EQ(found.damaged, 0u);
    EXPECT_EQ(found.blobs, 3u);
}

TEST_F(AuditTest, AServerWithoutARegistryHasNothingToCompare) {
    auto other = metadata_store::Database::open(folder_ + "/other.db");
    ASSERT_TRUE(other);
    const auto connection = metadata_store::open_read_only(folder_ + "/other.db");
    const auto found = audit_registry(**connection, folder_ + "/none", {});
    ASSERT_TRUE(found) << found.error().detail;
    EXPECT_EQ(found->blobs + found->damaged, 0u);
    EXPECT_TRUE(copy_registry(**connection, folder_ + "/none", folder_ + "/copy"));
}

}  // namespace
}  // namespace millwright::registry
