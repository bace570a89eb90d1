#include "programs/server/certificates.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/files.h"

namespace millwright::programs {
namespace {

class CertificatesTest : public testing::Test {
  protected:
    Config config_;
    void SetUp() override {
        config_.data_dir = testing::TempDir() + "certificates_test";
        ASSERT_TRUE(make_directories(config_.data_dir));
    }
    void TearDown() override { ASSERT_TRUE(remove_tree(config_.data_dir)); }
    std::string file(const std::string& name) {
        return read_file(config_.data_dir + "/ca/" + name).value_or(std::string());
    }
};

TEST_F(CertificatesTest, KnowTheHostsOfAws) {
    for (const char* host : {"amazonaws.com", "sts.amazonaws.com", "sts.us-west-2.amazonaws.com",
                             "b.s3.cn-north-1.amazonaws.com.cn", "sagemaker.us-west-2.api.aws"})
        EXPECT_TRUE(is_aws_host(host)) << host;
    for (const char* host : {"example.com", "amazonaws.com.example.com", "notamazonaws.com", "amazonaws.co", ".com", "",
                             "aws", "api.aws.example", "xapi.aws"})
        EXPECT_FALSE(is_aws_host(host)) << host;
    EXPECT_TRUE(is_telemetry_host("sm-pysdk-t-us-west-2.s3.us-west-2.amazonaws.com:443"));
    EXPECT_FALSE(is_telemetry_host("sm-pysdk-t-us-west-2.example.com"));
    EXPECT_FALSE(is_telemetry_host("s3.us-west-2.amazonaws.com"));
}

TEST_F(CertificatesTest, AreAnsweredForAwsOnly) {
    const auto proxy = AwsProxy::open(config_).value();
    EXPECT_TRUE(proxy->decide("sts.us-west-2.amazonaws.com:443").intercept);
    EXPECT_TRUE(proxy->decide("STS.us-west-2.AmazonAWS.com:443").intercept);
    for (const char* elsewhere :
         {"sts.us-west-2.amazonaws.com:80", "example.com:443", "127.0.0.1:443", "amazonaws.com.example.com:443"}) {
        const auto decision = proxy->decide(elsewhere);
        EXPECT_FALSE(decision.intercept) << elsewhere;
        EXPECT_TRUE(decision.take_over) << elsewhere;
    }
    for (const char* unclear :
         {"sts.us-west-2.amazonaws.com", "sts.amazonaws.com.:443", "/", "", "a b:443", "0x7f.1:443"})
        EXPECT_FALSE(proxy->decide(unclear).refusal.empty()) << unclear;
}

TEST_F(CertificatesTest, OfTheAuthorityOutliveTheServer) {
    ASSERT_TRUE(AwsProxy::open(config_));
    const std::string first = file("aws.pem");
    EXPECT_NE(first, "");
    struct stat status {};
    ASSERT_EQ(stat((config_.data_dir + "/ca/aws.key").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    ASSERT_TRUE(AwsProxy::open(config_));
    EXPECT_EQ(file("aws.pem"), first);
}

TEST_F(CertificatesTest, OfTheServerAreMadeAnewForNewNames) {
    config_.tls_certificate = kOwnCertificate;
    const auto source = server_certificate(config_).value();
    EXPECT_TRUE(source());
    const std::string first = file("server.pem");
    EXPECT_TRUE(server_certificate(config_));
    EXPECT_EQ(file("server.pem"), first);
    config_.tls_names = {"models.example.org", "192.0.2.7"};
    EXPECT_TRUE(server_certificate(config_));
    EXPECT_NE(file("server.pem"), first);
}

TEST_F(CertificatesTest, ReplaceWhatCannotBeRead) {
    ASSERT_TRUE(make_directories(config_.data_dir + "/ca"));
    ASSERT_TRUE(write_file(config_.data_dir + "/ca/aws.pem", "half a certif"));
    ASSERT_TRUE(AwsProxy::open(config_));
    EXPECT_NE(file("aws.pem").find("-----BEGIN CERTIFICATE-----"), std::string::npos);
}

TEST_F(CertificatesTest, FromFilesSayWhatIsWrong) {
    config_.tls_certificate = config_.data_dir + "/cert.pem";
    config_.tls_key = config_.data_dir + "/key.pem";
    EXPECT_FALSE(server_certificate(config_));
    ASSERT_TRUE(AwsProxy::open(config_));
    ASSERT_TRUE(write_file(config_.tls_certificate, file("aws.pem")));
    ASSERT_TRUE(write_file(config_.tls_key, file("aws.pem")));
    const auto mixed = server_certificate(config_);
    ASSERT_FALSE(mixed);
    EXPECT_NE(mixed.error().message.find("private key"), std::string::npos) << mixed.error().message;
    ASSERT_TRUE(write_file(config_.tls_key, file("aws.key")));
    EXPECT_TRUE(server_certificate(config_));
}

TEST_F(CertificatesTest, AreBundledWithWhatIsTrustedElsewhere) {
    EXPECT_EQ(write_certificate_bundle(config_).error().kind, ErrorKind::NotFound);
    ASSERT_TRUE(AwsProxy::open(config_));
    const std::string elsewhere = config_.data_dir + "/corporate.pem";
    ASSERT_TRUE(write_file(elsewhere, "corporate"));
    setenv("REQUESTS_CA_BUNDLE", elsewhere.c_str(), 1);
    const auto path = write_certificate_bundle(config_);
    unsetenv("REQUESTS_CA_BUNDLE");
    ASSERT_TRUE(path);
    EXPECT_EQ(*read_file(*path), file("aws.pem") + "corporate");
}

}  // namespace
}  // namespace millwright::programs
