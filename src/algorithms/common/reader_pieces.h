// Inside of the readers: one parser per format, each for one piece of input that begins and ends at a row boundary.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "algorithms/common/dataset.h"
#include "algorithms/common/readers.h"

namespace millwright::algorithms::reader_internal {

// `offset` is relative to the piece. `what` says what is wrong there, without file and line.
struct PieceError {
    size_t offset = 0;
    std::string what;
};

// Room for dense rows, somewhere in a dataset. `labels` and `weights` may be null when the layout has none.
struct DenseTarget {
    float* values = nullptr;
    float* labels = nullptr;
    float* weights = nullptr;
};

// --- CSV ---
struct CsvLayout {
    char delimiter = ',';
    size_t label_size = 0;
    bool weights = false;
    bool reject_missing = false;
    size_t columns = 0;  // features
};
// By the first line with content. An input without one has no columns.
Result<CsvLayout, PieceError> learn_csv_layout(std::string_view text, const ReaderOptions& options);
// At least the number of rows.
size_t count_lines(std::string_view piece);
// Fills `target` (room for count_lines rows); returns the number of rows. A target without `values` only checks
// nothing.
Result<size_t, PieceError> parse_csv(std::string_view piece, const CsvLayout& layout, const DenseTarget& target);

// --- libsvm ---
Result<void, PieceError> parse_libsvm(std::string_view piece, const ReaderOptions& options, Dataset& out);

// --- RecordIO-protobuf ---
constexpr size_t kFrameBytes = 8;  // magic number and length

struct RecordIoLayout {
    size_t columns = 0;
    size_t label_width = 0;
    bool sparse = false;
};
Result<RecordIoLayout, PieceError> learn_recordio_layout(std::string_view bytes);
// Where the records of a file end: frames, parts and padding.
class RecordEnds {
  public:
    explicit RecordEnds(std::string_view file) : bytes_(file) {}
    // Of the record that starts at `offset`.
    Result<size_t, PieceError> after(size_t offset) {
        // Most records are as long as the one before.
        if (stride_ > 0 && bytes_.size() - offset >= stride_ && bytes_.substr(offset, kFrameBytes) == frame_) [[likely]]
            return offset + stride_;
        return find(offset);
    }

  private:
    Result<size_t, PieceError> find(size_t offset);

    std::string_view bytes_;
    std::string_view frame_;  // of the last record that was whole, with its padding
    size_t stride_ = 0;
};
// All records dense, with `layout`'s shape: fills `target` (room for `rows`). Returns false when a record has another
// layout (sparse, other label width); then the general parser decides.
Result<bool, PieceError> parse_dense_records(std::string_view piece, const RecordIoLayout& layout, size_t rows,
                                             const DenseTarget& target);
Result<void, PieceError> parse_records(std::string_view piece, const ReaderOptions& options, Dataset& out);

}  // namespace millwright::algorithms::reader_internal
