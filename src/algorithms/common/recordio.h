// Writing RecordIO-protobuf (aialgs.data.Record), and the frame constants.
//
//   frame   = magic u32le, length u32le, payload, zeros up to a multiple of 4
//   payload = Record { map<string, Value> features = 1; map<string, Value> label = 2; uid = 3; metadata = 4 }
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millwright::algorithms {

constexpr uint32_t kRecordIoMagic = 0xCED7230A;

// Appends one frame around `payload`. REQUIRES: payload is shorter than 2^29 bytes.
void append_frame(std::string& out, std::string_view payload);

// A named Float32Tensor. Sparse when `keys` is not empty; then shape[0] is the number of columns.
struct NamedTensor {
    std::string_view name;
    std::span<const float> values;
    std::span<const uint64_t> keys;
    std::span<const uint64_t> shape;
};

struct RecordParts {
    std::vector<NamedTensor> features;
    std::vector<NamedTensor> label;
    std::string_view uid;
    std::string_view metadata;
};

// Appends one framed Record.
void append_record(std::string& out, const RecordParts& record);

}  // namespace millwright::algorithms
