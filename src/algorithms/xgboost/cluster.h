// The hosts of one job as the library sees them: those that have data train together, the others leave.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "algorithms/common/job_log.h"
#include "algorithms/common/training_environment.h"
#include "algorithms/xgboost/tracker.h"
#include "base/result.h"

namespace millwright::algorithms::xgboost {

class Cluster {
  public:
    // All hosts call this. Afterwards the library's own calls (creating matrices, updating, evaluating) are
    // collective over the hosts that take part.
    static Result<Cluster> join(const TrainingEnvironment& environment, bool has_data);

    bool takes_part() const { return rank_ >= 0; }
    bool is_leader() const { return rank_ == 0; }  // the first host with data: prints and saves
    int size() const { return size_; }
    bool distributed() const { return size_ > 1; }

    Result<void> allreduce_sum(std::span<double> values) const;
    Result<bool> any(bool value) const;
    // After training: says goodbye to the others and waits until they have, too, where this host is the
    // meeting point.
    Result<void> leave();

  private:
    Cluster() = default;
    int rank_ = -1;
    int size_ = 1;
    bool connected_ = false;
    std::unique_ptr<Tracker> tracker_;
};

}  // namespace millwright::algorithms::xgboost
