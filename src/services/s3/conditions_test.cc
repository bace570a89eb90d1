#include "services/s3/conditions.h"

#include <gtest/gtest.h>

namespace millwright::s3 {
namespace {

std::string parsed(std::string_view header, uint64_t size) {
    const Range range = parse_range(header, size);
    if (range.kind == Range::Kind::Whole) return "whole";
    if (range.kind == Range::Kind::Unsatisfiable) return "unsatisfiable";
    return std::to_string(range.first) + "+" + std::to_string(range.length);
}

TEST(Range, CoversTheThreeForms) {
    EXPECT_EQ(parsed("bytes=0-4", 10), "0+5");
    EXPECT_EQ(parsed("bytes=5-", 10), "5+5");
    EXPECT_EQ(parsed("bytes=-3", 10), "7+3");
    EXPECT_EQ(parsed("bytes=8-100", 10), "8+2");
    EXPECT_EQ(parsed("bytes=-100", 10), "0+10");
    EXPECT_EQ(parsed("bytes=9-9", 10), "9+1");
    EXPECT_EQ(parsed("bytes=0-99999999999999999999999", 10), "0+10");
}

TEST(Range, KnowsWhatCannotBeSatisfied) {
    EXPECT_EQ(parsed("bytes=10-", 10), "unsatisfiable");
    EXPECT_EQ(parsed("bytes=99999999999999999999-", 10), "unsatisfiable");
    EXPECT_EQ(parsed("bytes=-0", 10), "unsatisfiable");
    EXPECT_EQ(parsed("bytes=0-", 0), "unsatisfiable");
    EXPECT_EQ(parsed("bytes=-5", 0), "unsatisfiable");
}

TEST(Range, IgnoresWhatIsNoSingleRange) {
    for (const auto* text : {"", "bytes", "bytes=", "bytes=-", "bytes=5-2", "bytes=a-b", "bytes=0-1,3-4", "items=0-1",
                             "bytes=+1-2", "bytes=1-2x"})
        EXPECT_EQ(parsed(text, 10), "whole") << text;
}

TEST(Conditions, FollowTheOrderOfTheStandard) {
    const auto modified = *parse_rfc1123("Sun, 22 Nov 2026 10:15:30 GMT") + std::chrono::milliseconds(400);
    const std::string same = "Sun, 22 Nov 2026 10:15:30 GMT", before = "Sun, 22 Nov 2026 10:15:29 GMT",
                      later = "Sun, 22 Nov 2026 10:15:31 GMT";
    const auto verdict = [&](const net::Headers& headers) {
        return check_conditions(headers, "", "abc", modified).verdict;
    };
    EXPECT_EQ(verdict({}), Verdict::Proceed);
    EXPECT_EQ(verdict({{"If-Match", "\"abc\""}}), Verdict::Proceed);
    EXPECT_EQ(verdict({{"If-Match", "abc"}}), Verdict::Proceed);
    EXPECT_EQ(verdict({{"If-Match", "*"}}), Verdict::Proceed);
    EXPECT_EQ(verdict({{"If-Match", "\"x\", \"abc\""}}), Verdict::Proceed);
    EXPECT_EQ(verdict({{"If-Match", "\"x\""}}), Verdict::Failed);
    EXPECT_EQ(verdict({{"If-None-Match", "\"abc\""}}), Verdict::NotModified);
    EXPECT_EQ(verdict({{"If-None-Match", "W/\"abc\""}}), Verdict::NotModified);
    EXPECT_EQ(verdict({{"If-None-Match", "\"x\""}}), Verdict::Proceed);
    EXPECT_EQ(verdict({{"If-Modified-Since", same}}), Verdict::NotModified);
    EXPECT_EQ(verdict({{"If-Modified-Since", before}}), Verdict::Proceed);
    EXPECT_EQ(verdict({{"If-Unmodified-Since", same}}), Verdict::Proceed);
    EXPECT_EQ(verdict({{"If-Unmodified-Since", before}}), Verdict::Failed);
    EXPECT_EQ(verdict({{"If-Match", "\"abc\""}, {"If-Unmodified-Since", before}}), Verdict::Proceed);
    EXPECT_EQ(verdict({{"If-None-Match", "\"x\""}, {"If-Modified-Since", later}}), Verdict::Proceed);
    EXPECT_EQ(
        check_conditions({{"x-amz-copy-source-If-Match", "\"x\""}}, "x-amz-copy-source-", "abc", modified).verdict,
        Verdict::Failed);
}

}  // namespace
}  // namespace millwright::s3
