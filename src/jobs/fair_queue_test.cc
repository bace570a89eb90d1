#include "jobs/fair_queue.h"

#include <gtest/gtest.h>

namespace millwright::jobs {
namespace {

TEST(FairQueue, IsFirstInFirstOutForOneOwner) {
    FairQueue queue;
    queue.push("ann", 1);
    queue.push("ann", 2);
    EXPECT_EQ(queue.head(), 1u);
    EXPECT_EQ(queue.position(2), 1u);
    queue.remove("ann", 1);
    EXPECT_EQ(queue.head(), 2u);
    queue.remove("ann", 2);
    EXPECT_EQ(queue.head(), std::nullopt);
    EXPECT_TRUE(queue.empty());
}

TEST(FairQueue, PrefersTheOwnerWithTheLeastInUse) {
    FairQueue queue;
    queue.push("ann", 1);
    queue.push("ann", 2);
    queue.push("bob", 3);
    queue.started("ann", 0.5);
    EXPECT_EQ(queue.head(), 3u);
    queue.started("bob", 0.7);
    EXPECT_EQ(queue.head(), 1u);
    queue.ended("ann", 0.5);
    queue.ended("bob", 0.7);
    EXPECT_EQ(queue.head(), 1u);  // even again: who waits longest
}

TEST(FairQueue, KeepsThePlaceOfWhatIsQueuedAgain) {
    FairQueue queue;
    queue.push("ann", 5);
    queue.push("ann", 2);
    EXPECT_EQ(queue.head(), 2u);
}

}  // namespace
}  // namespace millwright::jobs
