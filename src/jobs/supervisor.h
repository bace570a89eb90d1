// Drives runs of every kind (training, processing, …) from the queue to their end.
//
//   submit(Queue) ─▶ (provisioning) ─▶ waiting ─▶ preparing ─▶ running ─▶ finishing ─▶ gone
//                          │            ▲ │           │            ▲         ▲ │
//                          └─ error ────│─┴─ stop ────┴─ error ────┼─────────┤ │
//                                       └───────── (rest) ─────────│─────────│─┘ QueueAgain
//   submit(Adopt) ─────────────────────────────────────────────────┘         │
//   submit(Finish) ──────────────────────────────────────────────────────────┘
//
// One thread decides, woken by events only; everything that may block runs on a bounded pool, one task per work at a
// time. Nothing is kept on disk here: a Work records its own progress before each step, and after a restart submits
// itself again at the step it had reached.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "executors/executor.h"
#include "jobs/capacity.h"
#include "jobs/forecast.h"

namespace millwright::jobs {

// Why a work comes to its end: exactly one of the two, or neither when it was stopped before it ran.
struct Ending {
    std::optional<executors::RunOutcome> outcome;
    std::optional<Error> error;  // staging or starting did not work
};

enum class After {
    Done,        // everything is recorded; forget it
    QueueAgain,  // it never ran, or has more to run: start over, after rest()
};

// Set once when the work is to stop; long steps look at it now and then.
using StopFlag = std::atomic<bool>;

// One job or replica. Calls come from pool threads, never two at once.
class Work {
  public:
    virtual ~Work() = default;
    virtual std::string key() const = 0;              // unique among live works: "training-job/17"
    virtual std::string owner() const = 0;            // whom the fair queue counts it for
    virtual Demand demand() const = 0;                // all hosts together
    virtual Expected expected() const { return {}; }  // how long it runs, for who waits behind it

    // Long preparations that need no share of the machine, such as building an environment, come before the queue and
    // on threads of their own, each time the work is about to be queued and needs_provisions() says so.
    virtual bool needs_provisions() const { return false; }
    virtual Result<void> provision(const StopFlag& stop) {
        static_cast<void>(stop);
        return {};
    }

    // Records why it waits.
    virtual void waiting(const std::string& reason) = 0;
    // Stages everything and records, as its last act, that the run may have been started from now on.
    virtual Result<executors::RunSpec> prepare(const StopFlag& stop) = 0;
    virtual void started(Timestamp when) = 0;
    // Uploads and records the end. May be called again after an error (which is retried with growing pauses) and after
    // a restart, so it must be idempotent.
    virtual Result<After> finish(const Ending& ending) = 0;
    // After finish() and when the executor has cleaned up: removes the files of the run. Before it is queued again,
    // too, so that a launcher of the old run that comes to life late finds nothing.
    virtual void discard() = 0;
    // How long to wait after QueueAgain.
    virtual std::chrono::milliseconds rest() const { return {}; }
};

// Where a work enters.
struct Entry {
    enum class At { Queue, Adopt, Finish };
    At at = At::Queue;
    std::string run_id, folder;  // of the run, for Adopt and Finish
    Ending ending;               // for Finish
    bool stop = false;           // a stop was asked for before the restart
    bool interrupt = false;      // Adopt: so was an interruption
    // Queue: takes over the share of this reservation without waiting for its turn; where that is gone, it waits.
    std::string reservation{};
};

// A share of the machine that is held for a work to come: the instances of a warm pool.
struct Reservation {
    std::string key;  // unique among reservations: "warm-pool/17"
    Demand demand;
    // Called from a pool thread, once at most: the share is free again, because a work that waits needs the room, or
    // because there was none to begin with.
    std::function<void()> yield;
};

struct SupervisorSettings {
    Machine machine = this_machine();
    size_t workers = 4;
    size_t provisioners = 16;  // threads for provision(); they wait more than they work
};

// Thread-safe. shut_down() before the executor, and before whatever the works use, is destroyed; runs live on.
class Supervisor {
  public:
    static std::unique_ptr<Supervisor> start(const SupervisorSettings& settings, executors::Executor& executor);
    virtual ~Supervisor() = default;

    virtual void submit(std::shared_ptr<Work> work, Entry entry) = 0;
    // Fine for an unknown key.
    virtual void stop(const std::string& key) = 0;
    // Ends the present run as stop() does, but not the work: its finish() decides what follows. Nothing happens to a
    // work without a run.
    virtual void interrupt(const std::string& key) = 0;
    // Yields at once where works wait already. The oldest reservation yields first, and only for a work that then fits.
    virtual void reserve(Reservation reservation) = 0;
    // Gives the share back without a call of yield(). Fine for an unknown key.
    virtual void release(const std::string& key) = 0;
    virtual const Machine& machine() const = 0;
    // Ends the threads. Later calls, also the executor's, do nothing.
    virtual void shut_down() = 0;
};

}  // namespace millwright::jobs
