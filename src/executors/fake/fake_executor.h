// An executor for tests: runs nothing, and ends runs when the test says so. Keeps its runs over a "restart", which is a
// new supervisor on the same FakeExecutor.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "executors/executor.h"

namespace millwright::executors {

// Thread-safe.
class FakeExecutor : public Executor {
  public:
    Result<void> start(const RunSpec& spec, RunListener& listener) override;
    Result<void> adopt(const std::string& id, const std::string& folder, RunListener& listener) override;
    Result<void> request_stop(const std::string& id) override;
    // Of a spare: it ends, unused.
    Result<void> kill(const std::string& id) override;
    Result<void> start_spare(const RunSpec& spec, RunListener& listener) override;
    void clean_up(const std::string& id, const std::string& folder) override;
    Result<std::vector<HostUsage>> usage(const std::string& id) override;
    Json describe() const override { return Json::object({{"tier", "fake"}}); }

    // What the test does. Blocks until the run was started, at most ten seconds.
    RunSpec wait_for_start(size_t nth);  // the nth start() since the beginning, counted from 0
    void report_started(const std::string& id, Timestamp when);
    void end(const std::string& id, const RunOutcome& outcome);
    void fail_next_start(Error error);
    void set_usage(const std::string& id, std::vector<HostUsage> usage);  // what usage() answers until the run ends
    // From now on nothing is reported (the server is gone) until a run is adopted.
    void forget_listeners();

    size_t starts() const;
    std::vector<RunSpec> spares() const;         // as they were asked for, oldest first
    bool is_spare(const std::string& id) const;  // one that waits for its work
    std::vector<std::string> stop_requests() const;
    std::set<std::string> cleaned_up() const;

  private:
    struct Run {
        RunSpec spec;
        RunListener* listener = nullptr;
        std::optional<Timestamp> started;
        std::optional<RunOutcome> outcome;
        bool spare = false;
        std::vector<HostUsage> usage;
    };

    mutable Mutex mutex_;
    Condition changed_;
    std::map<std::string, Run> runs_ GUARDED_BY(mutex_);
    std::vector<RunSpec> starts_ GUARDED_BY(mutex_);
    std::vector<RunSpec> spares_ GUARDED_BY(mutex_);
    std::vector<std::string> stops_ GUARDED_BY(mutex_);
    std::set<std::string> cleaned_up_ GUARDED_BY(mutex_);
    std::optional<Error> next_error_ GUARDED_BY(mutex_);
};

// All hosts left with `exit_code`.
RunOutcome exited(int hosts, int exit_code, std::chrono::milliseconds ran = std::chrono::milliseconds(1500));

}  // namespace millwright::executors
