// Keeps the checkpoints of running jobs the same in S3: one thread that looks at their folders twice a second, and a
// last look when a run has ended. A thread without jobs sleeps.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "executors/contract/checkpoints.h"
#include "object_store/object_store.h"

namespace millwright::resources {

struct CheckpointedJob {
    int64_t id = 0;
    std::string name;
    executors::CheckpointUploads::Run run;
};

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
