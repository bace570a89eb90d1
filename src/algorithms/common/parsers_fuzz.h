// What the fuzz targets and the seeded smoke test run: every parser of foreign bytes, with the properties that must
// hold. A broken property aborts.
#pragma once

#include <cstring>
#include <string_view>

#include "algorithms/common/ndarray.h"
#include "algorithms/common/readers.h"
#include "algorithms/common/requests.h"
#include "base/check.h"

namespace millwright::algorithms::fuzzing {

inline void check_consistent(const Dataset& data) {
    CHECK(data.labels.size() == data.rows * data.label_width);
    CHECK(data.weights.empty() || data.weights.size() == data.rows);
    CHECK(data.query_ids.empty() || data.query_ids.size() == data.rows);
    if (!data.sparse) {
        CHECK(data.values.size() == data.rows * data.columns);
        return;
    }
    CHECK(data.row_starts.size() == data.rows + 1 && data.row_starts.back() == data.values.size());
    CHECK(data.indices.size() == data.values.size());
    for (const uint32_t index : data.indices) CHECK(index < data.columns);
}

template <typename T>
bool same_bytes(const Buffer<T>& a, const Buffer<T>& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

// Cutting the input into many pieces must change neither the rows nor whether it is accepted.
inline void check_pieces(std::string_view bytes, ReaderOptions options) {
    options.threads = 1;
    options.chunk_bytes = bytes.size() + 1;
    const auto whole = parse_bytes(bytes, "fuzz", options);
    options.chunk_bytes = 7;
    const auto cut = parse_bytes(bytes, "fuzz", options);
    if (whole) check_consistent(*whole);
    if (cut) check_consistent(*cut);
    CHECK(whole.has_value() == cut.has_value());
    if (whole) CHECK(whole->rows == cut->rows && same_bytes(whole->labels, cut->labels));
    if (whole && whole->sparse == cut->sparse)
        CHECK(same_bytes(whole->values, cut->values) && same_bytes(whole->indices, cut->indices));
}

inline void csv(std::string_view bytes) {
    check_pieces(bytes, {.format = Format::Csv});
    check_pieces(bytes, {.format = Format::Csv, .label_size = 1, .csv_weights = true, .sniff_delimiter = true});
}

inline void libsvm(std::string_view bytes) {
    check_pieces(bytes, {.format = Format::Libsvm});
    check_pieces(bytes, {.format = Format::Libsvm, .shift_one_based_indices = true, .label_optional = true});
}

inline void recordio(std::string_view bytes) {
    check_pieces(bytes, {.format = Format::RecordIo});
    check_pieces(bytes, {.format = Format::RecordIo, .require_label = true, .keep_record_infos = true});
}

inline void json_request(std::string_view bytes) {
    for (const auto& outcome : {parse_json_instances(bytes, 0), parse_json_lines(bytes, 3)})
        if (outcome) check_consistent(*outcome);
}

inline void ndarray(std::string_view bytes) {
    const auto file = read_ndarrays(bytes);
    if (!file) return;
    const auto again = read_ndarrays(write_ndarrays(*file));
    CHECK(again.has_value() && again->names == file->names && again->arrays.size() == file->arrays.size());
    for (size_t i = 0; i < file->arrays.size(); ++i)
        CHECK(again->arrays[i].shape == file->arrays[i].shape && again->arrays[i].data == file->arrays[i].data);
}

}  // namespace millwright::algorithms::fuzzing
