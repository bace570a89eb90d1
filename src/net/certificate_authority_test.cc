#include "net/certificate_authority.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/files.h"
#include "net/socket.h"

namespace millwright::net {
namespace {

class CertificateAuthorityTest : public testing::Test {
  protected:
    const std::string folder_ = testing::TempDir() + "certificate_authority_test";
    void SetUp() override { ASSERT_TRUE(remove_tree(folder_)); }
    void TearDown() override { ASSERT_TRUE(remove_tree(folder_)); }
    std::unique_ptr<CertificateAuthority> open(const CertificateNames& names) {
        return CertificateAuthority::open(folder_, "ca", names).value();
    }
};

TEST_F(CertificateAuthorityTest, IssuesForItsNamesAndThoseBelowThemOnly) {
    const auto authority = open({{"example.com", "localhost"}, {"127.0.0.1", "::1"}});
    for (const char* name : {"example.com", "a.example.com", "*.example.com", "localhost"})
        EXPECT_TRUE(authority->issue({{name}, {}})) << name;
    EXPECT_TRUE(authority->issue({{"example.com", "localhost"}, {"127.0.0.1", "::1"}}));
    for (const char* name : {"example.org", "notexample.com", "com", "example.com.org", "*.com"})
        EXPECT_EQ(authority->issue({{name}, {}}).error().kind, ErrorKind::InvalidInput) << name;
    EXPECT_FALSE(authority->issue({{}, {"127.0.0.2"}}));
    EXPECT_FALSE(authority->issue({{}, {"::2"}}));
    EXPECT_FALSE(authority->issue({{"example.com"}, {"10.0.0.1"}}));
}

TEST_F(CertificateAuthorityTest, WithoutAddressesVouchesForNone) {
    const auto authority = open({{"example.com"}, {}});
    EXPECT_TRUE(authority->issue({{"example.com"}, {}}));
    EXPECT_FALSE(authority->issue({{}, {"127.0.0.1"}}));
    EXPECT_FALSE(authority->issue({{"example.com"}, {"::1"}}));
}

TEST_F(CertificateAuthorityTest, RefusesNamesThatCouldSayMore) {
    const auto authority = open({{"example.com"}, {}});
    for (const char* name : {"a.example.com,DNS:other", "a.example.com\n", "", ".", "*", "a..example.com",
                             "A.example.com", "a.example.com:443", "1.2.3.4", "email:x@example.com", "*.*.example.com"})
        EXPECT_FALSE(authority->issue({{name}, {}})) << name;
    EXPECT_FALSE(authority->issue({}));
    EXPECT_FALSE(CertificateAuthority::open(folder_, "x", {{"a,permitted;DNS:b"}, {}}));
}

TEST_F(CertificateAuthorityTest, KeepsWhatItIssuedWithinBounds) {
    const auto authority = open({{"example.com"}, {}});
    const auto first = authority->context_for("a.example.com").value();
    EXPECT_EQ(authority->context_for("a.example.com").value(), first);
    EXPECT_NE(authority->context_for("b.example.com").value(), first);
}

TEST_F(CertificateAuthorityTest, ItsKeyIsForTheOwnerOnly) {
    ASSERT_TRUE(open({{"example.com"}, {}}));
    struct stat status {};
    ASSERT_EQ(stat((folder_ + "/ca.key").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST(TlsStream, GarbageAndSilenceAreToldApart) {
    const std::string folder = testing::TempDir() + "tls_stream_test";
    const auto authority = CertificateAuthority::open(folder, "ca", {{"localhost"}, {}}).value();
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    Fd peer(ends[0]);
    Socket socket{Fd(ends[1])};
    ASSERT_TRUE(socket.start_tls(authority->context_for("localhost").value()));
    EXPECT_FALSE(socket.handshake().value());
    ASSERT_TRUE(write_all(peer.get(), "GET / HTTP/1.1\r\n"));
    EXPECT_EQ(socket.handshake().error().kind, ErrorKind::Unavailable);
    EXPECT_FALSE(socket.handshake());
    ASSERT_TRUE(remove_tree(folder));
}

TEST(TlsContext, SaysWhatIsWrongWithPem) {
    EXPECT_EQ(TlsContext::from_pem("", "").error().kind, ErrorKind::InvalidInput);
    EXPECT_EQ(TlsContext::from_pem("-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n", "").error().kind,
              ErrorKind::InvalidInput);
}

}  // namespace
}  // namespace millwright::net
