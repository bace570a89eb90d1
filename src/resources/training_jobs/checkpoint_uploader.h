// Keeps the checkpoints and live outputs of running jobs the same in S3: one thread that looks at their folders twice a
// second, and a last look when a run has ended. A thread without jobs sleeps.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "executors/contract/checkpoints.h"
#include "executors/contract/training_contract.h"
#include "object_store/object_store.h"

namespace millwright::resources {

// A run whose folders are uploaded.
struct CheckpointedJob {
    int64_t id = 0;
    std::string name;
    std::vector<executors::CheckpointUploads::Run> runs;  // one per folder; none: nothing is to be done
};

// What a job uploads while it runs.
CheckpointedJob uploads_of(int64_t id, const std::string& name, const executors::TrainingDescription& training,
                           const std::string& run_folder);

// Thread-safe. Destroying it aborts the upload in progress; what is missing then is found again in the run's folder.
class CheckpointUploader {
  public:
    static std::unique_ptr<CheckpointUploader> start(object_store::ObjectStore& store);
    virtual ~CheckpointUploader() = default;

    // Until finish() or forget(). Fine for a job that is watched already.
    virtual void watch(const CheckpointedJob& job) = 0;
    // After the run has ended: uploads what is left, also of a job that was never watched, and stops watching. May be
    // repeated. InvalidInput, NotFound: something cannot be uploaded, by the user's fault.
    virtual Result<void> finish(const CheckpointedJob& job) = 0;
    virtual void forget(int64_t id) = 0;
};

}  // namespace millwright::resources
