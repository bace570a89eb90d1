// Rows of numbers in memory: dense row-major, or compressed sparse rows.
//
// A value type; const use from several threads is fine.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace millwright::algorithms {

namespace dataset_internal {
// Page-aligned, in huge pages where the kernel has them. Null when there is no memory.
void* allocate_large(size_t bytes) noexcept;
constexpr size_t kLargeBytes = size_t{4} << 20;
}  // namespace dataset_internal

// Leaves new elements uninitialised: readers fill every one of them, and touching memory twice is what costs.
template <typename T>
struct UninitializedAllocator {
    using value_type = T;
    UninitializedAllocator() = default;
    template <typename U>
    UninitializedAllocator(const UninitializedAllocator<U>&) noexcept {}

    T* allocate(size_t count) {
        const size_t bytes = count * sizeof(T);
        void* memory =
            bytes >= dataset_internal::kLargeBytes ? dataset_internal::allocate_large(bytes) : std::malloc(bytes);
        if (memory == nullptr) throw std::bad_alloc();
        return static_cast<T*>(memory);
    }
    void deallocate(T* memory, size_t) noexcept { std::free(memory); }
    template <typename U>
    void construct(U* where) noexcept {
        ::new (static_cast<void*>(where)) U;
    }
    template <typename U, typename... Args>
    void construct(U* where, Args&&... args) {
        ::new (static_cast<void*>(where)) U(std::forward<Args>(args)...);
    }
    friend bool operator==(const UninitializedAllocator&, const UninitializedAllocator&) { return true; }
};

template <typename T>
using Buffer = std::vector<T, UninitializedAllocator<T>>;

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

// What a protobuf record carries beside its numbers; answers repeat it.
struct RecordInfo {
    std::string uid;
    std::string metadata;
};

struct Dataset {
    size_t rows = 0;
    size_t columns = 0;
    bool sparse = false;

    // Dense: rows * columns numbers, row-major; kMissing where a CSV field is empty.
    // Sparse: the stored entries, row after row.
    Buffer<float> values;
    // Sparse only: column of each entry (ascending within a row only if the input was), and rows + 1 offsets.
    Buffer<uint32_t> indices;
    std::vector<size_t> row_starts;

    // rows * label_width numbers, or empty when label_width is 0.
    size_t label_width = 0;
    Buffer<float> labels;
    // One per row, or empty when the input has none.
    std::vector<float> weights;
    // Query id of each row (libsvm `qid:`), or empty.
    std::vector<uint64_t> query_ids;
    // One per row, or empty; only kept when asked for.
    std::vector<RecordInfo> record_infos;

    std::span<const float> dense_row(size_t row) const { return {values.data() + row * columns, columns}; }
    std::span<const float> row_values(size_t row) const {
        return sparse ? std::span<const float>(values.data() + row_starts[row], row_starts[row + 1] - row_starts[row])
                      : dense_row(row);
    }
    std::span<const uint32_t> row_indices(size_t row) const {
        return {indices.data() + row_starts[row], row_starts[row + 1] - row_starts[row]};
    }
};

// Lengths of the runs of equal query ids, in row order; empty when the data has none.
std::vector<uint32_t> query_groups(const Dataset& data);
// Every stored number of a dense dataset becomes an entry; missing ones become absent.
void make_sparse(Dataset& data);
// Absent entries become 0; of a column named twice in a row the last wins. REQUIRES: memory for rows * columns.
void make_dense(Dataset& data);
// Adds the rows of `tail`. Mixed layouts become sparse. Fails when columns (dense), labels, weights or query ids do
// not match: the message says what, in words for the user.
Result<void> append(Dataset& data, Dataset&& tail);

}  // namespace millwright::algorithms
