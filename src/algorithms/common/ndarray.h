// MXNet NDArray files: what mx.nd.save writes and mx.nd.load reads.
//
//   file  = u64 0x112, u64 0, u64 n, n arrays, u64 m, m names     (m = n for a dict, 0 for a list)
//   name  = u64 length, bytes
//   array = u32 0xF993FAC9, i32 storage type 0 (dense), u32 ndim, ndim x i64,
//           (nothing more when ndim is 0) i32 device type, i32 device id, i32 type flag, raw little-endian data
// Read also: 0xF993FAC8 (no storage type), 0xF993FACA (as above), and the oldest form whose first word is ndim itself
// with u32 dimensions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millwright::algorithms {

enum class NdType : int32_t { Float32 = 0, Float64 = 1, Float16 = 2, Uint8 = 3, Int32 = 4, Int8 = 5, Int64 = 6 };
size_t size_of(NdType type);

struct NdArray {
    NdType type = NdType::Float32;
    std::vector<int64_t> shape;
    std::string data;  // raw, row-major, little-endian

    static NdArray floats(std::vector<int64_t> shape, const std::vector<float>& values);
    // The numbers as floats, whatever the type is. Float16 is refused.
    Result<std::vector<float>> to_floats() const;
};

struct NdFile {
    std::vector<NdArray> arrays;
    std::vector<std::string> names;  // empty: a list; otherwise one per array

    // Null when there is none; prefixes "arg:" and "aux:" are looked through.
    const NdArray* find(std::string_view name) const;
};

std::string write_ndarrays(const NdFile& file);
// Never allocates more than the bytes can hold.
Result<NdFile> read_ndarrays(std::string_view bytes);

}  // namespace millwright::algorithms
