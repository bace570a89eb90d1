// The executor of a simulation, and the runs it starts: these outlive the server, as the real launchers do.
//
// A run starts, succeeds, fails, is interrupted, vanishes and is reported late, as the seed says. Whatever the engine
// must never do to runs (start one beside another of the same job, take the files away from under it) ends the seed.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "executors/executor.h"
#include "simulation/scheduler.h"

namespace millwright::simulation {

constexpr int kLauncherGroup = 1;

struct Chances {
    double start_fails = 0.03, adopt_fails = 0.05, run_fails = 0.15, vanishes = 0.03, late_report = 0.1,
           too_long = 0.05;
};

// What the launchers of one job have recorded, all its runs together.
struct LauncherRecord {
    std::chrono::milliseconds ran{};  // of runs that left a record
    int starts = 0;
    std::string model;  // content that the last run that ended well has left
};

struct Run;

class Launchers {
  public:
    Launchers(Scheduler& scheduler, const Chances& chances) : scheduler_(scheduler), chances_(chances) {}
    ~Launchers();

    // Executors of dead servers are told nothing any more; nothing new is made for them.
    std::unique_ptr<executors::Executor> attach();
    // An orderly end of the one attached last: its thread is joined, and using it from here on ends the seed. (The
    // object itself is to be leaked, so that this can be told.)
    void end_executor();
    void detach() { ++server_; }
    // No launcher is alive afterwards; what ended before has left its record.
    void power_cut();

    const std::map<std::string, LauncherRecord>& records() const { return records_; }
    std::vector<std::string> alive() const;         // ids, spares included
    std::vector<std::string> alive_spares() const;  // ids
    size_t starts() const { return starts_; }
    size_t ends() const { return ends_; }

  private:
    friend class SimulatedExecutor;

    void launch(const std::shared_ptr<Run>& run);
    void live(Run& run);
    bool wait_until(Run& run, int64_t deadline);
    void begin(Run& run);
    void end(Run& run, executors::RunOutcome outcome, bool recorded);
    void write_model(Run& run);
    void check_alone(const executors::RunSpec& spec) const;
    int64_t duration(const executors::RunSpec& spec);
    void report(Run& run);

    Scheduler& scheduler_;
    const Chances chances_;
    std::map<std::string, std::shared_ptr<Run>> runs_;
    std::map<std::string, LauncherRecord> records_;  // by the name of the job
    uint64_t server_ = 0;
    size_t starts_ = 0, ends_ = 0;
};

}  // namespace millwright::simulation
