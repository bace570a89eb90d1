#include "jobs/capacity.h"

#include <gtest/gtest.h>

namespace millwright::jobs {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr Machine kMachine{.cpus = 4, .memory_bytes = 8 * kGiB};

TEST(Grant, GivesWhatFitsInFull) {
    const auto granted = grant(kMachine, {2, 4 * kGiB}, 2, TooLarge::Refuse);
    ASSERT_TRUE(granted);
    EXPECT_EQ(granted->per_host.cpus, 2);
    EXPECT_EQ(granted->per_host.memory_bytes, 4 * kGiB);
    EXPECT_EQ(granted->note, "");
}

TEST(Grant, SharesTheMachineBetweenHostsThatAskForMore) {
    const auto granted = grant(kMachine, {96, 384 * kGiB}, 8, TooLarge::Shrink);
    ASSERT_TRUE(granted);
    EXPECT_EQ(granted->per_host.cpus, 0.5);
    EXPECT_EQ(granted->per_host.memory_bytes, kGiB);
    EXPECT_EQ(granted->note, "0.5 vCPU and 1.0 GiB instead of 96 vCPU and 384.0 GiB");
}

TEST(Grant, RefusesInStrictModeAndWhenTheShareIsUseless) {
    EXPECT_EQ(grant(kMachine, {8, kGiB}, 1, TooLarge::Refuse).error().kind, ErrorKind::LimitExceeded);
    EXPECT_EQ(grant(kMachine, {8, kGiB}, 100, TooLarge::Shrink).error().kind, ErrorKind::LimitExceeded);
}

TEST(Grant, SharesTheMachineInProportionWhereHostsDiffer) {
    const auto small = grant_each(kMachine, {{1, kGiB}, {2, 2 * kGiB}}, TooLarge::Refuse);
    ASSERT_TRUE(small);
    EXPECT_EQ(small->note, "");
    EXPECT_EQ(total(*small, 2).cpus, 3);
    EXPECT_EQ(small->per_host.cpus, 2);
    EXPECT_EQ(grant_each(kMachine, {{4, kGiB}, {4, kGiB}}, TooLarge::Refuse).error().kind, ErrorKind::LimitExceeded);
    const auto shrunk = grant_each(kMachine, {{12, kGiB}, {4, kGiB}}, TooLarge::Shrink);
    ASSERT_TRUE(shrunk);
    EXPECT_EQ(shrunk->by_host[0].cpus, 3);
    EXPECT_EQ(shrunk->by_host[1].cpus, 1);
    EXPECT_EQ(shrunk->by_host[1].memory_bytes, kGiB);
    EXPECT_EQ(shrunk->note, "together 4 vCPU and 2.0 GiB instead of 16 vCPU and 2.0 GiB");
}

TEST(Capacity, CountsBothResources) {
    Capacity capacity(kMachine);
    EXPECT_TRUE(capacity.fits({100, 100 * kGiB}));  // alone, everything
    capacity.take({3, kGiB});
    EXPECT_TRUE(capacity.fits({1, kGiB}));
    EXPECT_FALSE(capacity.fits({1.5, kGiB}));
    EXPECT_FALSE(capacity.fits({1, 8 * kGiB}));
    capacity.give_back({3, kGiB});
    EXPECT_EQ(capacity.free().cpus, 4);
    EXPECT_EQ(capacity.free().memory_bytes, 8 * kGiB);
}

TEST(Capacity, OfThisMachineIsSomething) {
    const auto machine = this_machine();
    EXPECT_GE(machine.cpus, 1);
    EXPECT_GT(machine.memory_bytes, kGiB / 8);
}

}  // namespace
}  // namespace millwright::jobs
