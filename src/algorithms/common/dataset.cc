#include "algorithms/common/dataset.h"

#include <sys/mman.h>

#include <algorithm>

#include "base/check.h"

namespace millwright::algorithms {

namespace dataset_internal {

void* allocate_large(size_t bytes) noexcept {
    constexpr size_t kHugePage = size_t{2} << 20;
    if (bytes > SIZE_MAX - kHugePage) return nullptr;
    const size_t rounded = (bytes + kHugePage - 1) / kHugePage * kHugePage;
    void* memory = std::aligned_alloc(kHugePage, rounded);
    if (memory != nullptr) madvise(memory, rounded, MADV_HUGEPAGE);
    return memory;
}

}  // namespace dataset_internal

std::vector<uint32_t> query_groups(const Dataset& data) {
    std::vector<uint32_t> groups;
    for (size_t row = 0; row < data.query_ids.size(); ++row) {
        if (row == 0 || data.query_ids[row] != data.query_ids[row - 1]) groups.push_back(0);
        ++groups.back();
    }
    return groups;
}

void make_sparse(Dataset& data) {
    if (data.sparse) return;
    Buffer<float> values;
    Buffer<uint32_t> indices;
    values.reserve(data.values.size());
    indices.reserve(data.values.size());
    data.row_starts.assign(1, 0);
    for (size_t row = 0; row < data.rows; ++row) {
        const auto numbers = data.dense_row(row);
        for (size_t column = 0; column < numbers.size(); ++column) {
            if (numbers[column] != numbers[column]) continue;
            values.push_back(numbers[column]);
            indices.push_back(static_cast<uint32_t>(column));
        }
        data.row_starts.push_back(values.size());
    }
    data.values = std::move(values);
    data.indices = std::move(indices);
    data.sparse = true;
}

void make_dense(Dataset& data) {
    if (!data.sparse) return;
    CHECK(data.columns == 0 || data.rows <= SIZE_MAX / sizeof(float) / data.columns);
    Buffer<float> values(data.rows * data.columns);
    std::fill(values.begin(), values.end(), 0.0f);
    for (size_t row = 0; row < data.rows; ++row) {
        const auto numbers = data.row_values(row);
        const auto columns = data.row_indices(row);
        for (size_t i = 0; i < numbers.size(); ++i) values[row * data.columns + columns[i]] = numbers[i];
    }
    data.values = std::move(values);
    data.indices = {};
    data.row_starts = {};
    data.sparse = false;
}

namespace {

Error mismatch(std::string_view what, size_t expected, size_t got) {
    return invalid_input(std::string(what) + ": expected " + std::to_string(expected) + ", got " + std::to_string(got));
}

template <typename T, typename Allocator>
void append_all(std::vector<T, Allocator>& to, const std::vector<T, Allocator>& from) {
    to.insert(to.end(), from.begin(), from.end());
}

template <typename T>
Result<void> append_optional(std::vector<T>& to, size_t to_rows, const std::vector<T>& from, size_t from_rows,
                             std::string_view what) {
    if (to.size() != to_rows || from.size() != from_rows) {
        if (!to.empty() || !from.empty())
            return invalid_input("some rows have a " + std::string(what) + " and some do not");
        return {};
    }
    append_all(to, from);
    return {};
}

}  // namespace

Result<void> append(Dataset& data, Dataset&& tail) {
    if (tail.rows == 0) return {};
    if (data.rows == 0) {
        data = std::move(tail);
        return {};
    }
    if (data.label_width != tail.label_width)
        return mismatch("number of labels differs between rows", data.label_width, tail.label_width);
    if (data.sparse != tail.sparse) {
        make_sparse(data);
        make_sparse(tail);
    }
    if (!data.sparse && data.columns != tail.columns)
        return mismatch("number of columns differs between rows", data.columns, tail.columns);
    TRY(append_optional(data.weights, data.rows, tail.weights, tail.rows, "weight"));
    TRY(append_optional(data.query_ids, data.rows, tail.query_ids, tail.rows, "query id"));
    TRY(append_optional(data.record_infos, data.rows, tail.record_infos, tail.rows, "uid"));
    if (data.sparse) {
        const size_t base = data.values.size();
        for (size_t row = 1; row <= tail.rows; ++row) data.row_starts.push_back(base + tail.row_starts[row]);
        append_all(data.indices, tail.indices);
        data.columns = std::max(data.columns, tail.columns);
    }
    append_all(data.values, tail.values);
    append_all(data.labels, tail.labels);
    data.rows += tail.rows;
    return {};
}

}  // namespace millwright::algorithms
