// When those who wait are going to start: the queue played forward with the durations that are expected.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "jobs/capacity.h"
#include "jobs/fair_queue.h"

namespace millwright::jobs {

// How long a work runs: usually, by experience, and at most, by its own limit. Empty where nobody knows.
struct Expected {
    std::optional<std::chrono::milliseconds> usual, most;
};

// What is left of it after `elapsed`. One that takes longer than usual is expected to take a quarter longer than it
// has.
Expected left_of(const Expected& expected, std::chrono::milliseconds elapsed);

struct RunningShare {
    std::string owner;
    Demand demand;
    Expected left;
};
struct WaitingShare {
    std::string owner;
    Demand demand;
    Expected lasts;
};

// From now to the start. Empty when something before it ends nobody knows when.
struct ExpectedStart {
    std::optional<std::chrono::milliseconds> usual, most;
};

// The next `limit` starts at most. `queue` holds the items of `waiting`; `running` is what takes the machine's
// capacity.
std::map<uint64_t, ExpectedStart> forecast(const Machine& machine, const std::vector<RunningShare>& running,
                                           const FairQueue& queue, const std::map<uint64_t, WaitingShare>& waiting,
                                           size_t limit);

// "expected to start about 2026-11-23 03:50 UTC, at most by 2026-11-23 04:40 UTC" (the time limits of those before it),
// by the minute, so that it changes only when the estimate does; "" when nothing is known.
std::string to_text(const ExpectedStart& start, Timestamp now);

// The larger of the two fractions of the machine.
double dominant_share(const Machine& machine, const Demand& demand);

}  // namespace millwright::jobs
