// Bytes of a client on their way into a file.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/result.h"
#include "registry/registry.h"

namespace millwright::registry {

// Writes what `source` gives from `offset` on, in constant memory, and shows it to `seen` once it is written. Returns
// how many bytes; LimitExceeded with kBlobSize when the file would get larger than `most`. When it fails, the file may
// have bytes that were not shown.
Result<uint64_t> receive(int fd, uint64_t offset, uint64_t most, const Source& source,
                         const std::function<void(std::string_view)>& seen);

}  // namespace millwright::registry
