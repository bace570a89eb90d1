// MILLWRIGHT_SIMULATION_SEEDS=10000 simulation_tests    the full run
// simulation_tests --seed=17 [--fault="double start"]     one seed, with the server's log
#include "simulation/simulation.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace millwright::simulation {
namespace {

uint64_t seeds_wanted() {
    const char* wanted = std::getenv("MILLWRIGHT_SIMULATION_SEEDS");
    return wanted ? std::strtoull(wanted, nullptr, 10) : 300;
}
uint64_t first_seed() {
    const char* first = std::getenv("MILLWRIGHT_SIMULATION_FIRST");
    return first ? std::strtoull(first, nullptr, 10) : 1;
}

Simulation& simulation() {
    static Simulation the_only;
    return the_only;
}

TEST(SimulationTest, EverySeedHolds) {
    const auto begun = std::chrono::steady_clock::now();
    Totals all;
    uint64_t runs = 0, switches = 0;
    int found = 0;
    const auto first = first_seed(), count = seeds_wanted();
    for (uint64_t seed = first; seed < first + count && found < 10; ++seed) {
        const auto outcome = simulation().run(seed);
        if (!outcome.failure.empty()) {
            ++found;
            ADD_FAILURE() << "seed " << seed << ": " << outcome.failure;
        }
        if ((seed - first + 1) % 1000 == 0) {
            std::printf("%llu seeds\n", static_cast<unsigned long long>(seed - first + 1));
            std::fflush(stdout);
        }
        runs += outcome.runs;
        switches += outcome.switches;
        const auto& t = outcome.totals;
        all.created += t.created, all.refused += t.refused, all.stopped += t.stopped, all.deleted += t.deleted;
        all.interrupted += t.interrupted, all.described += t.described, all.listed += t.listed;
        all.kills += t.kills, all.power_cuts += t.power_cuts, all.restarts += t.restarts;
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    std::printf(
        "%llu seeds in %.1f s: %d jobs, %llu runs, %d stops, %d deletions, %d interruptions, %d refusals, %d kills, "
        "%d power cuts, %d orderly ends, %llu switches\n",
        static_cast<unsigned long long>(count), took.count(), all.created, static_cast<unsigned long long>(runs),
        all.stopped, all.deleted, all.interrupted, all.refused, all.kills, all.power_cuts, all.restarts,
        static_cast<unsigned long long>(switches));
    EXPECT_GT(all.created, 0);
    EXPECT_GT(runs, 0u);
}

TEST(SimulationTest, ASeedIsTheSameEachTime) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        const auto one = simulation().run(seed), two = simulation().run(seed);
        EXPECT_EQ(one.fingerprint, two.fingerprint) << seed;
        EXPECT_EQ(one.switches, two.switches) << seed;
    }
}

// A simulation that cannot find a bug proves nothing.
TEST(SimulationTest, EveryPlantedFaultIsFound) {
    constexpr uint64_t kMostSeeds = 400;
    for (const auto fault : kAllFaults) {
        uint64_t seed = 1;
        Outcome outcome;
        for (; seed <= kMostSeeds && outcome.failure.empty(); ++seed)
            outcome = simulation().run(seed, {.fault = fault});
        EXPECT_FALSE(outcome.failure.empty()) << name_of(fault);
        std::printf("%-20s found by seed %3llu: %s\n", std::string(name_of(fault)).c_str(),
                    static_cast<unsigned long long>(seed - 1),
                    outcome.failure.substr(0, outcome.failure.find('\n')).c_str());
    }
}

// "--seed=17 --fault=double start"
int run_one_seed(uint64_t seed, std::string_view fault_name) {
    Options options;
    options.trace = true;
    for (const auto fault : kAllFaults)
        if (name_of(fault) == fault_name) options.fault = fault;
    const auto outcome = simulation().run(seed, options);
    std::printf("seed %llu: %s (fingerprint %016llx, %llu switches)\n", static_cast<unsigned long long>(seed),
                outcome.failure.empty() ? "holds" : outcome.failure.c_str(),
                static_cast<unsigned long long>(outcome.fingerprint),
                static_cast<unsigned long long>(outcome.switches));
    return outcome.failure.empty() ? 0 : 1;
}

}  // namespace
}  // namespace millwright::simulation

int main(int count, char** arguments) {
    testing::InitGoogleTest(&count, arguments);
    std::string seed, fault;
    for (int i = 1; i < count; ++i) {
        const std::string argument = arguments[i];
        if (argument.starts_with("--seed=")) seed = argument.substr(argument.find('=') + 1);
        if (argument.starts_with("--fault=")) fault = argument.substr(argument.find('=') + 1);
    }
    if (seed.empty()) return RUN_ALL_TESTS();
    return millwright::simulation::run_one_seed(std::strtoull(seed.c_str(), nullptr, 10), fault);
}
