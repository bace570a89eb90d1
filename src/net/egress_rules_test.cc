#include "net/egress_rules.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

namespace millwright::net {
namespace {

sockaddr_storage address(const std::string& text, uint16_t port = 443) {
    sockaddr_storage out{};
    auto& v4 = reinterpret_cast<sockaddr_in&>(out);
    auto& v6 = reinterpret_cast<sockaddr_in6&>(out);
    if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
    } else {
        EXPECT_EQ(inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr), 1) << text;
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
    }
    return out;
}

EgressRules rules(std::vector<std::string> allowed, bool allow_all = false, uint16_t own_port = 0) {
    return EgressRules::make({std::move(allowed), allow_all, own_port}).value();
}

EgressRules::Verdict judge(const EgressRules& rules, const char* authority) {
    return rules.judge(parse_destination(authority).value());
}

TEST(EgressRules, ReadsHostsAndPorts) {
    const auto name = parse_destination("Files.Index.example:443");
    ASSERT_TRUE(name.has_value());
    EXPECT_EQ(name->host, "files.index.example");
    EXPECT_EQ(name->port, 443);
    EXPECT_FALSE(name->is_address);
    EXPECT_EQ(parse_destination("a.b", 80)->port, 80);
    EXPECT_TRUE(parse_destination("10.0.0.7:8080")->is_address);
    const auto v6 = parse_destination("[2001:DB8:0::1]:80");
    ASSERT_TRUE(v6.has_value());
    EXPECT_EQ(v6->host, "2001:db8::1");
}

TEST(EgressRules, RefusesWhatResolversReadInTheirOwnWays) {
    for (const char* text : {"0x7f.1:80",
                             "0x7f000001:80",
                             "2130706433:80",
                             "017700000001:80",
                             "0177.0.0.1:80",
                             "127.1:80",
                             "127.0.0.1.:80",
                             "localhost.:80",
                             "index.example.:443",
                             "1.2.3.4.5:80",
                             "0x:80",
                             "[::ffff:127.0.0.1]:80",
                             "[::127.0.0.1]:80",
                             "[fe80::1%eth0]:80",
                             "[::1:80",
                             "user@index.example:443",
                             "index.example:0",
                             "index.example:0443",
                             "index.example:65536",
                             "index.example:443:1",
                             "index.example:",
                             "index.example",
                             ":443",
                             "",
                             "a..b:80",
                             "index.example/x:80",
                             "pypi\xe2\x93\x9e.org:80",
                             "a b:80",
                             "-x.org:80",
                             "127.0.0.1%00.index.example:80"})
        EXPECT_FALSE(parse_destination(text).has_value()) << text;
}

TEST(EgressRules, KnowsWhatIsNotPublic) {
    for (const char* text : {"10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.1", "172.16.0.1",
                             "172.31.255.255", "192.168.1.1", "198.19.0.1", "::1", "fd00::1", "fc12::"})
        EXPECT_EQ(reach_of(address(text)), Reach::Private) << text;
    for (const char* text : {"0.0.0.0",
                             "0.1.2.3",
                             "169.254.169.254",
                             "169.254.170.2",
                             "192.0.0.1",
                             "224.0.0.1",
                             "239.255.255.250",
                             "240.0.0.1",
                             "255.255.255.255",
                             "::",
                             "::ffff:127.0.0.1",
                             "::ffff:8.8.8.8",
                             "::127.0.0.1",
                             "fe80::1",
                             "fec0::1",
                             "ff02::1",
                             "2002:7f00:1::",
                             "2001:0:4136:e378::1",
                             "2001:db8::1",
                             "64:ff9b::7f00:1",
                             "64:ff9b::a9fe:a9fe",
                             "64:ff9b:1::1",
                             "100::1"})
        EXPECT_EQ(reach_of(address(text)), Reach::Never) << text;
    for (const char* text :
         {"1.1.1.1", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.0.0.1", "128.0.0.1", "172.15.0.1", "172.32.0.1",
          "223.255.255.255", "2606:4700::1", "2a04:4e42::223", "64:ff9b::101:101"})
        EXPECT_EQ(reach_of(address(text)), Reach::Public) << text;
}

TEST(EgressRules, JudgesNamesExactlyAndBySuffix) {
    const EgressRules some = rules({"Index.example", ".packages.example", "mirror.lan:8080", "10.0.0.5:3141"});
    using Verdict = EgressRules::Verdict;
    EXPECT_EQ(judge(some, "index.example:443"), Verdict::Anywhere);
    EXPECT_EQ(judge(some, "INDEX.EXAMPLE:80"), Verdict::Anywhere);
    EXPECT_EQ(judge(some, "index.example:22"), Verdict::Denied);
    EXPECT_EQ(judge(some, "evil-index.example:443"), Verdict::Denied);
    EXPECT_EQ(judge(some, "x.index.example:443"), Verdict::Denied);
    EXPECT_EQ(judge(some, "files.packages.example:443"), Verdict::PublicOnly);
    EXPECT_EQ(judge(some, "packages.example:443"), Verdict::Denied);
    EXPECT_EQ(judge(some, "mirror.lan:8080"), Verdict::Anywhere);
    EXPECT_EQ(judge(some, "mirror.lan:443"), Verdict::Denied);
    EXPECT_EQ(judge(some, "10.0.0.5:3141"), Verdict::Anywhere);
    EXPECT_EQ(judge(some, "10.0.0.6:3141"), Verdict::Denied);
    EXPECT_EQ(judge(rules({}, true), "anything.example:22"), Verdict::PublicOnly);
    EXPECT_EQ(judge(rules({}), "index.example:443"), Verdict::Denied);
}

TEST(EgressRules, RefusesEntriesThatMeanNothing) {
    for (const char* entry : {"", ".", "*.example.org", "http://index.example", ".10.0.0.1", "a:b", "0x7f.1"})
        EXPECT_FALSE(EgressRules::make({{entry}, false, 0}).has_value()) << entry;
}

TEST(EgressRules, AllowedNamesDoNotOpenPrivateAddresses) {
    using Verdict = EgressRules::Verdict;
    const EgressRules some = rules({"x"}, false, 9770);
    EXPECT_TRUE(some.permits(Verdict::PublicOnly, address("1.1.1.1")));
    EXPECT_FALSE(some.permits(Verdict::PublicOnly, address("127.0.0.1")));
    EXPECT_FALSE(some.permits(Verdict::PublicOnly, address("10.0.0.1")));
    EXPECT_TRUE(some.permits(Verdict::Anywhere, address("10.0.0.1")));
    EXPECT_TRUE(some.permits(Verdict::Anywhere, address("127.0.0.1")));
    EXPECT_FALSE(some.permits(Verdict::Anywhere, address("127.0.0.1", 9770)));
    EXPECT_FALSE(some.permits(Verdict::Anywhere, address("::1", 9770)));
    EXPECT_FALSE(some.permits(Verdict::Anywhere, address("169.254.169.254")));
    EXPECT_FALSE(some.permits(Verdict::Denied, address("1.1.1.1")));
    EXPECT_TRUE(is_own_address(address("127.0.0.1")));
    EXPECT_FALSE(is_own_address(address("1.1.1.1")));
}

}  // namespace
}  // namespace millwright::net
