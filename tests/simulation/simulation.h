// Seeds of the simulation, each in a process of its own, so that a seed is the same alone as among ten thousand.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "simulation/faults.h"
#include "simulation/story.h"

namespace millwright::simulation {

struct Outcome {
    std::string failure;  // empty: everything held
    uint64_t fingerprint = 0, switches = 0, runs = 0;
    Totals totals;
};

struct Options {
    Fault fault = Fault::None;
    bool trace = false;  // the server's log, with virtual times, on standard error
};

class Simulation {
  public:
    Simulation();  // prepares a data directory that every seed begins with
    ~Simulation();
    Simulation(const Simulation&) = delete;
    Simulation& operator=(const Simulation&) = delete;

    Outcome run(uint64_t seed, const Options& options = {});

  private:
    Outcome run_apart(uint64_t seed, const Options& options, bool prepares);
    [[noreturn]] void run_here(uint64_t seed, const Options& options, bool prepares, int report);

    std::string folder_;
};

}  // namespace millwright::simulation
