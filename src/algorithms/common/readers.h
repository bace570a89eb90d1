// From the files of a channel to numbers.
//
// Formats (grammar in docs/internals/algorithms.md): CSV without header, libsvm, RecordIO-protobuf. Input is foreign
// bytes: anything malformed is an InvalidInput error whose message names the file and the line (text) or the byte
// offset (RecordIO); nothing in it crashes the process or makes it allocate more than a small multiple of the input.
//
//   const auto files = TRY(list_channel_files("/opt/ml/input/data/train", kFirstPartyFolders));
//   Dataset data = TRY(read_files(files, {.format = Format::Csv, .label_size = 1}));
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "algorithms/common/dataset.h"
#include "base/result.h"

namespace millwright::algorithms {

enum class Format { Csv, Libsvm, RecordIo };

struct ReaderOptions {
    Format format = Format::Csv;

    // CSV: the first label_size columns are labels.
    size_t label_size = 0;
    // CSV: the column after the labels is the weight of the row (XGBoost's csv_weights=1).
    bool csv_weights = false;
    // CSV: choose among comma, tab, semicolon and space by the first line; otherwise `delimiter`.
    bool sniff_delimiter = false;
    char delimiter = ',';
    // CSV: an empty field is an error instead of kMissing.
    bool reject_missing = false;

    // libsvm: when no index 0 occurs anywhere, indices are taken as 1-based.
    bool shift_one_based_indices = false;
    // libsvm: lines may consist of features only (inference); then labels are left out.
    bool label_optional = false;

    // RecordIO: a record without label is an error / keep uid and metadata of each record.
    bool require_label = false;
    bool keep_record_infos = false;

    // Every row must have exactly this many columns (sparse: no index beyond); 0 = what the data has.
    size_t columns = 0;

    // Input is cut into pieces of about this size at row boundaries; pieces are parsed by `threads` threads.
    // The result does not depend on either.
    size_t chunk_bytes = size_t{2} << 20;
    unsigned threads = 2;
};

// Which files below a channel folder are data.
struct FolderRules {
    size_t max_depth = 64;              // folders below the channel's own
    bool hidden_file_is_error = false;  // a name starting with '.' (otherwise skipped)
    bool skip_underscore = true;        // names starting with '_'
};
// Spark and Hadoop side files and manifests are left out.
constexpr FolderRules kFirstPartyFolders{};
// As the XGBoost container: hidden files fail the job, `_SUCCESS` and the like are skipped, three folder levels.
constexpr FolderRules kXgboostFolders{.max_depth = 3, .hidden_file_is_error = true, .skip_underscore = true};

// Sorted paths of the data files below `folder`; a path to a single file gives that file. Links are followed, empty
// files are left out.
Result<std::vector<std::string>> list_channel_files(const std::string& folder, const FolderRules& rules);

// All rows of all files, in file order.
Result<Dataset> read_files(const std::vector<std::string>& files, const ReaderOptions& options);

// Streaming: calls `visit(thread, chunk)` for each piece of the input; memory is a few chunks. Piece number i (in file
// order) always goes to thread i % threads and pieces of one thread come in order, so sums per thread added in thread
// order are the same on every run. `visit` runs on several threads at once, but never twice at once for one `thread`.
// libsvm: `columns` of a chunk is what that chunk has, unless options.columns is set. Index shifting is not done.
using ChunkVisitor = std::function<Result<void>(unsigned thread, Dataset& chunk)>;
Result<void> for_each_chunk(const std::vector<std::string>& files, const ReaderOptions& options,
                            const ChunkVisitor& visit);

// One block of bytes (a request body). `name` stands in error messages in place of a file name.
Result<Dataset> parse_bytes(std::string_view bytes, std::string_view name, const ReaderOptions& options);

// Format of a content type such as "text/csv;label_size=0" with its parameters applied to `options` (label_size).
// InvalidInput for types that no reader knows and for parameters out of range.
Result<void> apply_content_type(std::string_view content_type, ReaderOptions& options);

}  // namespace millwright::algorithms
