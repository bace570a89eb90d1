// Request bodies that a client compressed: botocore does so with large requests of some operations (PutMetricData).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace millwright::aws {

// The content of one or more gzip members. LimitExceeded beyond `limit` bytes; InvalidInput for anything that is no
// whole gzip stream.
Result<std::string> decompress_gzip(std::string_view bytes, size_t limit);

}  // namespace millwright::aws
