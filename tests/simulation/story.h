// What one seed does to the engine, and what must hold: clients that create, stop, describe, list, delete and interrupt
// jobs, crashes and power cuts between any two steps, and the oracle that knows what was acknowledged.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "simulation/engine.h"
#include "simulation/launchers.h"
#include "simulation/scheduler.h"

namespace millwright::simulation {

struct Plan;

// Of one create call that may have been made.
struct Attempt {
    int number = 0;
    std::string name;
    bool acknowledged = false, stop_acknowledged = false;
    std::vector<std::string> seen;  // statuses of its transitions, as last described
    std::string end;                // its final status, once somebody has seen it
};

// Of one name: deletions that may have happened count for those that were acknowledged.
struct NameRecord {
    int created = 0, deletions_tried = 0, deletions_acknowledged = 0;
    int latest = 0;            // the last acknowledged attempt
    int deleting = 0;          // calls in progress
    bool tried_since = false;  // a deletion was tried after that, or was in progress
};

struct Totals {
    int created = 0, refused = 0, stopped = 0, deleted = 0, interrupted = 0, described = 0, listed = 0;
    int kills = 0, power_cuts = 0, restarts = 0;
};

class Story {
  public:
    Story(Scheduler& scheduler, const std::string& root, Fault fault);
    ~Story();
    // As the director of the scheduler.
    void tell();
    const Totals& totals() const { return totals_; }
    size_t runs() const { return launchers_.starts(); }

  private:
    enum class Ending { Kill, PowerCut, Orderly };

    void serve();
    void live_through(Ending ending, bool last);
    void crash(Ending ending);
    void client(int number);
    void act(Engine& engine);
    void create(Engine& engine);
    void stop(Engine& engine);
    void describe(Engine& engine);
    void wait_for_change(Engine& engine);
    void list(Engine& engine);
    void remove(Engine& engine);
    void interrupt(Engine& engine);
    void set_keep_alive(Engine& engine);
    void audit(Engine& engine);

    Json request(const std::string& name, int attempt);
    std::string any_name() { return "job-" + std::to_string(dice_.below(static_cast<uint64_t>(names_))); }
    Attempt* attempt_of(const resources::TrainingJob& job);
    void check_view(const resources::TrainingJob& job);
    void settle(Engine& engine);
    void check_end(Engine& engine);
    void check_job(Engine& engine, const resources::TrainingJob& job);
    void check_billing(const resources::TrainingJob& job, const Attempt& attempt);
    void check_names(Engine& engine, const std::set<std::string>& there);
    void check_tables(Engine& engine);
    void check_machine_is_free(Engine& engine);

    Scheduler& scheduler_;
    Dice& dice_;
    Launchers launchers_;
    SimulatedRandom random_;
    EngineSettings settings_;
    BuiltEnvironments environments_;
    int names_ = 1, clients_ = 1, operations_ = 0;
    bool spot_ = false, pools_ = false, scripts_ = false, checkpoints_ = false, jumps_ = false, jumped_ = false,
         cut_ = false;

    std::unique_ptr<Engine> engine_;
    bool open_ = false, shutting_down_ = false;
    std::vector<Attempt> attempts_;
    std::map<std::string, NameRecord> names_known_;
    Totals totals_;
};

}  // namespace millwright::simulation
