// Ends objects, versions and uploads by the lifecycle rules of their buckets.
//
// A round looks at all of every bucket with rules, a page at a time. It keeps nothing on disk: a round that a restart
// cuts short begins again, and what it did stays done. Every removal says which version it means, so that what is
// written meanwhile is never lost.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/time.h"
#include "object_store/lifecycle.h"
#include "object_store/object_store.h"

namespace millwright::object_store {

class LifecycleWorker {
  public:
    struct Settings {
        LifecycleDay day = {};
        std::chrono::milliseconds pause = std::chrono::hours(1);  // between two rounds
        size_t page = 1000;                                       // versions or uploads of one step
    };
    // `store` and `clock` outlive the worker. No thread; step() is called by the owner.
    LifecycleWorker(ObjectStore& store, const Clock& clock, Settings settings);
    ~LifecycleWorker();

    // Looks at one page. False when that ended a round; the next call begins another.
    bool step();

    // A worker with a thread of its own.
    static std::unique_ptr<LifecycleWorker> start(ObjectStore& store, const Clock& clock, Settings settings);

  private:
    class Scan;

    bool next_bucket();
    void run(const std::stop_token& stop);

    ObjectStore& store_;
    const Clock& clock_;
    const Settings settings_;
    std::vector<std::string> buckets_;  // still to come in this round, the next one last
    std::unique_ptr<Scan> scan_;        // of the bucket at hand
    bool in_round_ = false;
    std::jthread thread_;  // last: it uses all the others
};

}  // namespace millwright::object_store
