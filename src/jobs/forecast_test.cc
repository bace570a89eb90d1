#include "jobs/forecast.h"

#include <gtest/gtest.h>

namespace millwright::jobs {
namespace {

using std::chrono::minutes;

constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr Machine kMachine{.cpus = 4, .memory_bytes = 16 * kGiB};
constexpr Demand kWhole{4, 16 * kGiB}, kHalf{2, 8 * kGiB};

Expected takes(int usual, int most) { return {minutes(usual), minutes(most)}; }

// Waiting works in the order of their numbers.
class Forecast : public testing::Test {
  protected:
    std::vector<RunningShare> running_;
    std::map<uint64_t, WaitingShare> waiting_;
    FairQueue queue_;

    void run(const std::string& owner, const Demand& demand, const Expected& left) {
        running_.push_back({owner, demand, left});
        queue_.started(owner, dominant_share(kMachine, demand));
    }
    void wait(uint64_t number, const std::string& owner, const Demand& demand, const Expected& lasts) {
        waiting_[number] = {owner, demand, lasts};
        queue_.push(owner, number);
    }
    // "usual/most" in minutes.
    std::string start_of(uint64_t number, size_t limit = 100) {
        const auto starts = forecast(kMachine, running_, queue_, waiting_, limit);
        const auto found = starts.find(number);
        if (found == starts.end()) return "unknown";
        const auto text = [](const std::optional<std::chrono::milliseconds>& after) {
            return after ? std::to_string(std::chrono::duration_cast<minutes>(*after).count()) : "?";
        };
        return text(found->second.usual) + "/" + text(found->second.most);
    }
};

TEST_F(Forecast, TheNextStartsWhenWhatRunsIsOver) {
    run("ann", kWhole, takes(5, 60));
    wait(1, "ann", kWhole, takes(10, 60));
    wait(2, "ann", kWhole, takes(10, 60));
    EXPECT_EQ(start_of(1), "5/60");
    EXPECT_EQ(start_of(2), "15/120");
}
TEST_F(Forecast, WhatFitsTogetherStartsTogether) {
    run("ann", kWhole, takes(5, 60));
    wait(1, "ann", kHalf, takes(10, 60));
    wait(2, "ann", kHalf, takes(20, 60));
    wait(3, "ann", kHalf, takes(10, 60));
    EXPECT_EQ(start_of(2), "5/60");
    EXPECT_EQ(start_of(3), "15/120");
}
TEST_F(Forecast, OwnersTakeTurnsAsTheQueueWillHaveIt) {
    run("ann", kWhole, takes(5, 60));
    wait(1, "ann", kHalf, takes(10, 60));
    wait(2, "ann", kHalf, takes(10, 60));
    wait(3, "bob", kHalf, takes(10, 60));
    EXPECT_EQ(start_of(3), "5/60") << "not after both of Ann's";
    EXPECT_EQ(start_of(2), "15/120");
}
TEST_F(Forecast, WhatNobodyKnowsIsNotGuessed) {
    run("ann", kWhole, {std::nullopt, minutes(60)});
    wait(1, "ann", kWhole, {std::nullopt, std::nullopt});
    wait(2, "ann", kWhole, takes(1, 1));
    EXPECT_EQ(start_of(1), "?/60");
    EXPECT_EQ(start_of(2), "unknown");
}
TEST_F(Forecast, OnlySoManyStartsAreLookedFor) {
    run("ann", kWhole, takes(5, 60));
    for (uint64_t i = 1; i <= 5; ++i) wait(i, "ann", kWhole, takes(1, 1));
    EXPECT_EQ(start_of(2, 2), "6/61");
    EXPECT_EQ(start_of(3, 2), "unknown");
}

TEST(LeftOf, AnOverdueRunTakesAQuarterLongerButNotLongerThanItMay) {
    EXPECT_EQ(left_of(takes(10, 60), minutes(4)).usual, minutes(6));
    EXPECT_EQ(left_of(takes(10, 60), minutes(4)).most, minutes(56));
    EXPECT_EQ(left_of(takes(10, 60), minutes(20)).usual, minutes(5));
    EXPECT_EQ(left_of(takes(10, 60), minutes(58)).usual, minutes(2));
    EXPECT_EQ(left_of(takes(10, 60), minutes(70)).most, minutes(0));
    EXPECT_FALSE(left_of({}, minutes(1)).usual);
}

TEST(ExpectedStart, IsToldInWholeMinutes) {
    const auto now = *parse_iso8601("2026-11-23T23:58:30Z");
    EXPECT_EQ(to_text({minutes(1), minutes(60)}, now),
              "expected to start about 2026-11-24 00:00 UTC, at most by 2026-11-24 00:59 UTC");
    EXPECT_EQ(to_text({std::nullopt, minutes(60)}, now), "expected to start at most by 2026-11-24 00:59 UTC");
    EXPECT_EQ(to_text({minutes(1), std::nullopt}, now), "expected to start about 2026-11-24 00:00 UTC");
    EXPECT_EQ(to_text(ExpectedStart{}, now), "");
}

}  // namespace
}  // namespace millwright::jobs
