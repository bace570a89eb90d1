// The meeting point of the hosts of one job: gives each its rank and tells it whom to connect to. Speaks the
// protocol of the rabit tracker that XGBoost 1.7 expects (tracker.cc has the messages).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace millwright::algorithms::xgboost {

class Tracker {
  public:
    // Listens on any free port. `workers` are the names under which the workers reach each other; the worker
    // with task id "i" becomes rank i.
    static Result<std::unique_ptr<Tracker>> start(std::vector<std::string> workers);
    // Stops at once, wherever the protocol is.
    virtual ~Tracker() = default;

    virtual uint16_t port() const = 0;
    // Every worker has said goodbye, or the tracker gave up.
    virtual bool finished() const = 0;
    // Why it gave up; empty while all is well.
    virtual std::string problem() const = 0;
};

}  // namespace millwright::algorithms::xgboost
