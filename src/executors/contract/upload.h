// Putting a job's file into the store as one object, in parts where S3 asks for them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "object_store/object_store.h"

namespace millwright::executors {

inline constexpr uint64_t kPartBytes = uint64_t{512} << 20;  // larger files go in parts of this size, at least

// Gives the bytes `offset` … `offset + length`.
using RangeSource = std::function<object_store::Source(uint64_t offset, uint64_t length)>;

// Nothing appears when it fails.
Result<void> put_in_parts(object_store::ObjectStore& store, const object_store::S3Uri& target, uint64_t size,
                          uint64_t part_bytes, const RangeSource& source_of);

}  // namespace millwright::executors
