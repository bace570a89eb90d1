#include "base/encoding.h"

#include <gtest/gtest.h>

namespace millwright {
namespace {

TEST(Encoding, Base64RoundTripsAllLengths) {
    for (size_t length = 0; length < 20; ++length) {
        std::string bytes;
        for (size_t i = 0; i < length; ++i) bytes += static_cast<char>(i * 37 + 200);
        EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
    }
    EXPECT_EQ(to_base64("ab"), "YWI=");
    EXPECT_EQ(from_base64("YWI"), std::nullopt);
    EXPECT_EQ(from_base64("Y=I="), std::nullopt);
}
TEST(Encoding, HexRejectsOddAndForeignDigits) {
    EXPECT_EQ(from_hex("00fF"), std::string("\x00\xff", 2));
    EXPECT_EQ(from_hex("0"), std::nullopt);
    EXPECT_EQ(from_hex("zz"), std::nullopt);
}
TEST(Encoding, PercentEncodingFollowsSigV4) {
    EXPECT_EQ(percent_encode("a b/c~*"), "a%20b%2Fc~%2A");
    EXPECT_EQ(percent_encode("a/b", Slash::Keep), "a/b");
    EXPECT_EQ(percent_decode("a%20b%2Fc%zz%4"), "a b/c%zz%4");
    EXPECT_EQ(percent_decode("a+b", Plus::Space), "a b");
    EXPECT_EQ(percent_decode("a+b"), "a+b");
}

}  // namespace
}  // namespace millwright
