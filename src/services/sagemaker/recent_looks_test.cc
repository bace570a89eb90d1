#include "services/sagemaker/recent_looks.h"

#include <gtest/gtest.h>

namespace millwright::services {
namespace {

using namespace std::chrono_literals;

TEST(RecentLooks, OnlyALookSoonAfterAnotherBelongsToAWait) {
    RecentLooks looks;
    const RecentLooks::Time start{};
    EXPECT_FALSE(looks.follows_another("a", start));
    looks.answered("a", start);
    EXPECT_TRUE(looks.follows_another("a", start + 5s));
    EXPECT_FALSE(looks.follows_another("b", start + 5s));
    EXPECT_FALSE(looks.follows_another("a", start + 8s));
}

TEST(RecentLooks, RemembersABoundedNumber) {
    RecentLooks looks;
    const RecentLooks::Time start{};
    for (int i = 0; i < 5000; ++i) looks.answered(std::to_string(i), start);
    EXPECT_TRUE(looks.follows_another("0", start));
    EXPECT_FALSE(looks.follows_another("4999", start));
    looks.answered("later", start + 60s);
    EXPECT_TRUE(looks.follows_another("later", start + 61s));
}

}  // namespace
}  // namespace millwright::services
