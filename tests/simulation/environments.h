// Python environments of a simulation: built in virtual time, now and then in vain, kept over restarts.
#pragma once

#include <set>
#include <string>

#include "resources/environments/environments.h"
#include "simulation/scheduler.h"

namespace millwright::simulation {

// What lies on the disk: the ids of those that were built. Outlives the servers.
using BuiltEnvironments = std::set<std::string>;

class SimulatedEnvironments : public resources::Environments {
  public:
    SimulatedEnvironments(Scheduler& scheduler, BuiltEnvironments& built) : scheduler_(scheduler), built_(built) {}

    Result<resources::EnvironmentChoice> choose(const resources::EnvironmentWish& wish) const override;
    Result<resources::Environment> find(const resources::EnvironmentWish& wish) override;
    Result<resources::Environment> provide(const resources::EnvironmentWish& wish, const std::atomic<bool>& stop,
                                           const Progress& progress) override;
    std::vector<resources::EnvironmentInfo> list() override { return {}; }
    Result<void> remove(std::string_view) override { return {}; }

  private:
    Scheduler& scheduler_;
    BuiltEnvironments& built_;
};

// A .tar with one file, train.py: the source code of script jobs.
std::string source_archive();

}  // namespace millwright::simulation
