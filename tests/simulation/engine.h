// One life of the server's job engine: everything real but the executor, the clock, the disk and chance.
#pragma once

#include <memory>
#include <string>

#include "base/random.h"
#include "executors/executor.h"
#include "jobs/supervisor.h"
#include "metadata_store/database.h"
#include "object_store/object_store.h"
#include "resources/training_jobs/training_jobs.h"
#include "simulation/environments.h"
#include "simulation/faults.h"
#include "simulation/launchers.h"

namespace millwright::simulation {

constexpr const char* kRegion = "us-west-2";
constexpr const char* kBucket = "bucket";

// From the simulation's dice.
class SimulatedRandom : public Random {
  public:
    explicit SimulatedRandom(Dice& dice) : dice_(dice) {}
    std::string bytes(size_t count) override {
        std::string result(count, '\0');
        for (auto& byte : result) byte = static_cast<char>(dice_.next());
        return result;
    }

  private:
    Dice& dice_;
};

struct EngineSettings {
    std::string root;
    resources::TrainingQuotas quotas;
    std::chrono::seconds mean_between_interruptions{0};
    Fault fault = Fault::None;
    BuiltEnvironments* environments = nullptr;  // null: no script jobs
};

class Engine {
  public:
    // Ends the seed when something cannot be opened.
    Engine(const EngineSettings& settings, Launchers& launchers, Random& random, Dice& dice);
    ~Engine();  // an orderly end, as after SIGTERM

    resources::TrainingJobs& jobs() { return *jobs_; }
    metadata_store::Database& database() { return *database_; }
    object_store::ObjectStore& objects() { return *objects_; }
    std::string account() const { return identity_->root().account; }

  private:
    Launchers& launchers_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<object_store::ObjectStore> objects_;
    std::unique_ptr<resources::Identity> identity_;
    std::unique_ptr<resources::Logs> logs_;
    std::unique_ptr<resources::Metrics> metrics_;
    std::unique_ptr<resources::Tags> tags_;
    std::unique_ptr<executors::Executor> executor_;
    std::unique_ptr<resources::Environments> environments_;
    std::unique_ptr<jobs::Supervisor> supervisor_;
    std::unique_ptr<resources::TrainingJobs> jobs_;
};

template <typename T>
T must(Result<T> result, const char* what) {
    if (!result) fail(std::string(what) + ": " + result.error().message + " " + result.error().detail);
    return std::move(result).value();
}
inline void must(const Result<void>& result, const char* what) {
    if (!result) fail(std::string(what) + ": " + result.error().message + " " + result.error().detail);
}

}  // namespace millwright::simulation
