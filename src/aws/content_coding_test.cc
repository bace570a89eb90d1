#include "aws/content_coding.h"

#include <gtest/gtest.h>

#include "base/gzip_for_tests.h"

namespace millwright::aws {
namespace {

TEST(ContentCoding, GivesBackWhatWasCompressed) {
    const std::string text(100'000, 'x');
    EXPECT_EQ(*decompress_gzip(gzip(text), 100'000), text);
    EXPECT_EQ(*decompress_gzip(gzip(""), 0), "");
    EXPECT_EQ(*decompress_gzip(gzip("one ") + gzip("two"), 100), "one two");
}

TEST(ContentCoding, ABombEndsAtTheLimit) {
    const std::string bomb = gzip(std::string(8 << 20, '\0'));
    ASSERT_LT(bomb.size(), 16'000u);
    EXPECT_EQ(decompress_gzip(bomb, 1 << 20).error().kind, ErrorKind::LimitExceeded);
}

TEST(ContentCoding, WhatIsNoWholeStreamIsRefused) {
    const std::string whole = gzip("some text that is long enough to be worth it");
    for (size_t cut = 0; cut < whole.size(); ++cut)
        EXPECT_FALSE(decompress_gzip(std::string_view(whole).substr(0, cut), 1000)) << cut;
    EXPECT_FALSE(decompress_gzip("plain text", 1000));
    EXPECT_FALSE(decompress_gzip(whole + "x", 1000));
    std::string damaged = whole;
    damaged[whole.size() - 6] ^= 1;  // of the checksum
    EXPECT_FALSE(decompress_gzip(damaged, 1000));
}

}  // namespace
}  // namespace millwright::aws
