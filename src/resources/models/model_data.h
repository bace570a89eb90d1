// From model data in the object store to the files of /opt/ml/model. Archives are foreign bytes: see
// extract_model_archive().
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "object_store/object_store.h"
#include "resources/models/models.h"

namespace millwright::resources {

struct ModelDataLimits {
    uint64_t max_bytes = uint64_t{64} << 30;  // unpacked, all files together
    uint64_t max_entries = 100'000;
    // Unpacked to packed size. Checked once more than `ratio_floor_bytes` are unpacked: small archives of
    // zeros are fine.
    uint64_t max_ratio = 500;
    uint64_t ratio_floor_bytes = uint64_t{256} << 20;
    std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
};

// Unpacks a tar.gz into `folder`, which exists and is empty. What it makes: folders (0755), files (0644, or
// 0755 when executable for the owner), hard links between files of the archive, and symbolic links that lead
// to something inside the folder. Anything else fails with InvalidInput and nothing outside `folder` is
// touched: absolute names, "..", NUL, names over 255 bytes, devices, sockets, FIFOs, links that lead out or
// nowhere, a file where a folder is, truncated or damaged archives, more than the limits allow
// (LimitExceeded). Owners, set-id bits, ACLs and extended attributes are dropped. Of a name that occurs twice
// the last one counts. What was unpacked before a failure stays: remove the folder.
Result<void> extract_model_archive(int archive, uint64_t size, const std::string& folder,
                                   const ModelDataLimits& limits);

// Brings the data of a model into the new folder `folder` (mode 0755). The message of a failure is one for a
// user (FailureReason of an endpoint) when the kind is InvalidInput, NotFound or LimitExceeded.
Result<void> fetch_model_data(object_store::ObjectStore& objects, const ModelData& data, const std::string& folder,
                              const ModelDataLimits& limits);

}  // namespace millwright::resources
