#include "base/strings.h"

#include <gtest/gtest.h>

namespace millwright {
namespace {

TEST(Strings, SplitKeepsEmptyParts) {
    EXPECT_EQ(split("a,,b", ','), (std::vector<std::string_view>{"a", "", "b"}));
    EXPECT_EQ(split("", ',').size(), 1u);
}
TEST(Strings, NumbersMustBeTheWholeText) {
    EXPECT_EQ(parse_int("-12"), -12);
    EXPECT_EQ(parse_int("12x"), std::nullopt);
    EXPECT_EQ(parse_int(""), std::nullopt);
    EXPECT_EQ(parse_double("1e-3"), 1e-3);
    EXPECT_EQ(parse_double(" 1"), std::nullopt);
}
TEST(Strings, Utf8RejectsOverlongAndSurrogates) {
    EXPECT_TRUE(is_valid_utf8("h\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"));
    for (const char* bad : {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82", "\x80"})
        EXPECT_FALSE(is_valid_utf8(bad));
    EXPECT_EQ(utf8_length("h\xC3\xA9"), 2u);
}
TEST(Strings, ReplaceAllAndTrim) {
    EXPECT_EQ(replace_all("aXbX", "X", "--"), "a--b--");
    EXPECT_EQ(trim(" \t a b\r\n"), "a b");
    EXPECT_TRUE(equals_ignoring_case("Content-Type", "content-TYPE"));
}

}  // namespace
}  // namespace millwright
