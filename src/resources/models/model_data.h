// From model data in the object store to the files of /opt/ml/model. Archives are foreign bytes: see
// executors/contract/archive.h.
#pragma once

#include <string>

#include "base/result.h"
#include "executors/contract/archive.h"
#include "object_store/object_store.h"
#include "resources/models/models.h"

namespace millwright::resources {

// Brings the data of a model into the new folder `folder` (mode 0755). The message of a failure is one for a
// user (FailureReason of an endpoint) when the kind is InvalidInput, NotFound or LimitExceeded.
Result<void> fetch_model_data(object_store::ObjectStore& objects, const ModelData& data, const std::string& folder,
                              const executors::ArchiveLimits& limits);

}  // namespace millwright::resources
