#include "aws/token.h"

#include <gtest/gtest.h>

namespace millwright::aws {
namespace {

const PageTokens kTokens("a key of the store");

TEST(PageTokens, GiveThePositionBack) {
    const std::vector<std::string> position = {"2026-11-22T10:00:00Z", "job \"ä\"/1", ""};
    const auto decoded = kTokens.decode("ListTrainingJobs/1", kTokens.encode("ListTrainingJobs/1", position));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(*decoded, position);
}

TEST(PageTokens, SurviveARestartWithTheSameKey) {
    EXPECT_TRUE(PageTokens("a key of the store").decode("s", kTokens.encode("s", {"x"})));
    EXPECT_FALSE(PageTokens("another").decode("s", kTokens.encode("s", {"x"})));
}

TEST(PageTokens, OfAnotherListingAreRefused) {
    const auto decoded = kTokens.decode("ListModels", kTokens.encode("ListTrainingJobs", {"x"}));
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().code, "ValidationException");
}

TEST(PageTokens, ChangedInAnyCharacterAreRefused) {
    const std::string token = kTokens.encode("s", {"position", "17"});
    for (size_t i = 0; i < token.size(); ++i)
        for (const char c : {'A', 'b', '9', '-', '_', '=', '+', '\0', ' '}) {
            std::string changed = token;
            if (changed[i] == c) continue;
            changed[i] = c;
            EXPECT_FALSE(kTokens.decode("s", changed)) << changed;
        }
    EXPECT_FALSE(kTokens.decode("s", ""));
    EXPECT_FALSE(kTokens.decode("s", token + "A"));
    EXPECT_FALSE(kTokens.decode("s", token.substr(0, token.size() - 1)));
}

TEST(PageTokens, AreSafeInUrls) {
    for (int i = 0; i < 200; ++i)
        EXPECT_EQ(kTokens.encode("s", {std::to_string(i)})
                      .find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                  std::string::npos);
}

}  // namespace
}  // namespace millwright::aws
