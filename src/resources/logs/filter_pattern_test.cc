#include "resources/logs/filter_pattern.h"

#include <gtest/gtest.h>

namespace millwright::resources {
namespace {

bool matches(std::string_view pattern, std::string_view message) {
    const auto parsed = FilterPattern::parse(pattern);
    EXPECT_TRUE(parsed.has_value()) << pattern;
    return parsed && parsed->matches(message);
}

TEST(FilterPattern, AnEmptyPatternMatchesEverything) {
    EXPECT_TRUE(matches("", "anything"));
    EXPECT_TRUE(matches("  ", ""));
}

TEST(FilterPattern, PlainTermsMustAllBeThere) {
    EXPECT_TRUE(matches("ERROR code_7", "[ERROR] code_7: lost"));
    EXPECT_FALSE(matches("ERROR code_7", "[ERROR] code_8"));
    EXPECT_FALSE(matches("error", "[ERROR]"));
    EXPECT_TRUE(matches("über", "darüber"));
}

TEST(FilterPattern, QuotedTermsHoldAnyText) {
    EXPECT_TRUE(matches("\"train-rmse:0.5\"", "[3]#011train-rmse:0.5"));
    EXPECT_FALSE(matches("\"a b\"", "a  b"));
    EXPECT_TRUE(matches("\"say \\\"hi\\\" \\\\\"", "they say \"hi\" \\ there"));
}

TEST(FilterPattern, ExcludedTermsMustBeAbsent) {
    EXPECT_TRUE(matches("ERROR -Exiting", "ERROR here"));
    EXPECT_FALSE(matches("ERROR -\"Exiting now\"", "ERROR Exiting now"));
}

TEST(FilterPattern, OneOfTheAlternativesIsEnough) {
    EXPECT_TRUE(matches("?ERROR ?WARN", "a WARNING"));
    EXPECT_FALSE(matches("?ERROR ?WARN", "info"));
}

TEST(FilterPattern, RefusesWhatItWouldReadWrongly) {
    for (const char* pattern :
         {"{ $.x = 1 }", "[ip, user]", "  %regex%", "a-b", "\"open", "- x", "?ERROR plain", "a\"b\"", "-"})
        EXPECT_EQ(FilterPattern::parse(pattern).error().kind, ErrorKind::InvalidInput) << pattern;
}

}  // namespace
}  // namespace millwright::resources
