// x-amz-copy-source and the conditions on it.
#pragma once

#include "services/s3/exchange.h"

namespace millwright::s3 {

struct CopySource {
    std::string bucket, key;
    std::string version;  // asked for; "" for the newest
    object_store::OpenObject object;
};
// Opened, the caller's own, and meeting the x-amz-copy-source-if-* conditions.
ApiResult<CopySource> open_copy_source(const Exchange& exchange);

}  // namespace millwright::s3
