#include "programs/server/environment.h"

#include <gtest/gtest.h>

#include "base/files.h"

namespace millwright::programs {
namespace {

class EnvironmentTest : public testing::Test {
  protected:
    Config config_;
    void SetUp() override {
        config_.data_dir = testing::TempDir() + "environment_test";
        ASSERT_TRUE(make_directories(config_.data_dir));
    }
    void TearDown() override { ASSERT_TRUE(remove_tree(config_.data_dir)); }
};

TEST_F(EnvironmentTest, SaysWhatToDoBeforeTheFirstStart) {
    const auto text = shell_environment(config_);
    EXPECT_EQ(text.error().kind, ErrorKind::NotFound);
    EXPECT_NE(text.error().message.find("millwright serve"), std::string::npos);
}
TEST_F(EnvironmentTest, QuotesForTheShellAndNamesTheBucket) {
    ASSERT_TRUE(
        write_file(config_.data_dir + "/credentials.json",
                   R"({"AccountId":"123456789012","Region":"us-west-2","AccessKeyId":"AK","SecretAccessKey":"it's"})"));
    ASSERT_TRUE(write_file(config_.data_dir + "/server.json", R"({"url":"http://127.0.0.1:1234","pid":1})"));
    const std::string text = *shell_environment(config_);
    EXPECT_NE(text.find("export AWS_SECRET_ACCESS_KEY='it'\\''s'\n"), std::string::npos);
    EXPECT_NE(text.find("export AWS_ENDPOINT_URL='http://127.0.0.1:1234'\n"), std::string::npos);
    const std::string defaults = *read_file(config_.data_dir + "/sagemaker-config.yaml");
    EXPECT_NE(defaults.find("DefaultS3Bucket: 'sagemaker-us-west-2-123456789012'"), std::string::npos);
}

}  // namespace
}  // namespace millwright::programs
