#include "algorithms/common/readers.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <limits>

#include "algorithms/common/mapped_file.h"
#include "algorithms/common/reader_pieces.h"
#include "algorithms/common/threads.h"
#include "base/strings.h"

namespace millwright::algorithms {
namespace {

using namespace reader_internal;

// A range of one file between row boundaries.
struct Piece {
    size_t source = 0;
    size_t begin = 0;
    size_t end = 0;
    size_t rows = 0;  // RecordIO: exact; CSV: an upper bound, known after count_rows
};

struct Source {
    std::string_view name;
    std::string_view bytes;
};

std::string_view bytes_of(const std::vector<Source>& sources, const Piece& piece) {
    return sources[piece.source].bytes.substr(piece.begin, piece.end - piece.begin);
}

Error locate(const Source& source, Format format, size_t base, const PieceError& failure) {
    const size_t offset = std::min(base + failure.offset, source.bytes.size());
    std::string where;
    if (format == Format::RecordIo) {
        where = "offset " + std::to_string(offset);
    } else {
        const auto before = source.bytes.substr(0, offset);
        where = "line " + std::to_string(1 + std::count(before.begin(), before.end(), '\n'));
    }
    return invalid_input(std::string(source.name) + ": " + where + ": " + failure.what);
}

// --- cutting the input into pieces ---

void cut_text(const Source& source, size_t index, size_t chunk_bytes, std::vector<Piece>& pieces) {
    for (size_t begin = 0; begin < source.bytes.size();) {
        size_t end = source.bytes.size();
        if (end - begin > chunk_bytes) {
            const size_t newline = source.bytes.find('\n', begin + chunk_bytes - 1);
            if (newline != std::string_view::npos) end = newline + 1;
        }
        pieces.push_back({index, begin, end, 0});
        begin = end;
    }
}

Result<void> cut_records(const Source& source, size_t index, size_t chunk_bytes, std::vector<Piece>& pieces) {
    Piece piece{index, 0, 0, 0};
    RecordEnds ends(source.bytes);
    while (piece.end < source.bytes.size()) {
        auto end = ends.after(piece.end);
        if (!end) return locate(source, Format::RecordIo, 0, end.error());
        piece.end = *end;
        ++piece.rows;
        if (piece.end - piece.begin < chunk_bytes) continue;
        pieces.push_back(piece);
        piece = {index, piece.end, piece.end, 0};
    }
    if (piece.rows > 0) pieces.push_back(piece);
    return {};
}

Result<std::vector<Piece>> cut(const std::vector<Source>& sources, const ReaderOptions& options) {
    std::vector<Piece> pieces;
    const size_t chunk_bytes = std::max<size_t>(options.chunk_bytes, 1);
    for (size_t index = 0; index < sources.size(); ++index) {
        if (options.format == Format::RecordIo) {
            TRY(cut_records(sources[index], index, chunk_bytes, pieces));
        } else {
            cut_text(sources[index], index, chunk_bytes, pieces);
        }
    }
    return pieces;
}

// --- parsing pieces in parallel ---

// Runs `parse(thread, piece)` for all pieces, piece i on thread i % threads. The error of the earliest piece wins, so
// that the message does not depend on timing; later pieces are given up as soon as an earlier one failed.
using ParsePiece = std::function<Result<void>(unsigned thread, size_t piece)>;
Result<void> for_each_piece(size_t count, unsigned threads, const ParsePiece& parse) {
    threads = static_cast<unsigned>(std::clamp<size_t>(threads, 1, std::max<size_t>(count, 1)));
    std::atomic<size_t> first_failed{count};
    std::vector<Result<void>> outcomes(threads);
    std::vector<size_t> failed_at(threads, count);
    run_on_threads(threads, [&](unsigned thread) {
        for (size_t piece = thread; piece < first_failed.load(std::memory_order_relaxed); piece += threads) {
            outcomes[thread] = parse(thread, piece);
            if (outcomes[thread]) continue;
            failed_at[thread] = piece;
            size_t seen = first_failed.load();
            while (piece < seen && !first_failed.compare_exchange_weak(seen, piece)) {
            }
            return;
        }
    });
    const auto earliest = std::min_element(failed_at.begin(), failed_at.end());
    return std::move(outcomes[static_cast<size_t>(earliest - failed_at.begin())]);
}

template <typename T>
Result<T> located(Result<T, PieceError> outcome, const std::vector<Source>& sources, const Piece& piece,
                  Format format) {
    if (outcome) return Result<T>(std::move(outcome).value());
    return locate(sources[piece.source], format, piece.begin, outcome.error());
}
Result<void> located(Result<void, PieceError> outcome, const std::vector<Source>& sources, const Piece& piece,
                     Format format) {
    if (outcome) return {};
    return locate(sources[piece.source], format, piece.begin, outcome.error());
}

// Room for `rows` rows of a dense dataset.
Result<void> allocate_dense(Dataset& data, size_t rows, size_t columns, size_t label_width, bool weights) {
    if (columns > 0 && rows > std::numeric_limits<ptrdiff_t>::max() / sizeof(float) / columns)
        return invalid_input("the data does not fit into memory");
    data.sparse = false;
    data.rows = rows;
    data.columns = columns;
    data.label_width = label_width;
    data.values.resize(rows * columns);
    data.labels.resize(rows * label_width);
    data.weights.resize(weights ? rows : 0);
    return {};
}

DenseTarget target_at(Dataset& data, size_t row) {
    return {data.values.data() + row * data.columns, data.labels.data() + row * data.label_width,
            data.weights.empty() ? nullptr : data.weights.data() + row};
}

// At least the rows of a piece of CSV, and never much more memory than the text itself: a row has a byte per field.
size_t most_rows(std::string_view bytes, const CsvLayout& layout) {
    const size_t fields = std::max<size_t>(1, layout.label_size + (layout.weights ? 1 : 0) + layout.columns);
    return std::min(count_lines(bytes), bytes.size() / fields + 1);
}

// Closes the gaps left by blank lines: piece i has parsed rows at first_rows[i], fewer than there was room for.
void close_gaps(Dataset& data, const std::vector<size_t>& first_rows, const std::vector<size_t>& parsed) {
    size_t row = 0;
    for (size_t i = 0; i < parsed.size(); ++i) {
        const auto move_block = [&](auto& numbers, size_t width) {
            if (row == first_rows[i] || width == 0) return;
            const auto from = numbers.begin() + static_cast<ptrdiff_t>(first_rows[i] * width);
            std::copy(from, from + static_cast<ptrdiff_t>(parsed[i] * width),
                      numbers.begin() + static_cast<ptrdiff_t>(row * width));
        };
        move_block(data.values, data.columns);
        move_block(data.labels, data.label_width);
        move_block(data.weights, data.weights.empty() ? 0 : 1);
        row += parsed[i];
    }
    data.rows = row;
    data.values.resize(row * data.columns);
    data.labels.resize(row * data.label_width);
    if (!data.weights.empty()) data.weights.resize(row);
}

// The rows of CSV and dense RecordIO go straight to their final place: how many each piece has is known beforehand.
std::vector<size_t> running_sum(const std::vector<Piece>& pieces, size_t& total) {
    std::vector<size_t> first_rows;
    total = 0;
    for (const auto& piece : pieces) {
        first_rows.push_back(total);
        total += piece.rows;
    }
    return first_rows;
}

Result<CsvLayout> learn_csv(const std::vector<Source>& sources, const ReaderOptions& options) {
    for (const auto& source : sources) {
        auto layout = learn_csv_layout(source.bytes, options);
        if (!layout) return locate(source, Format::Csv, 0, layout.error());
        if (layout->columns > 0 && !trim(source.bytes).empty()) return std::move(layout).value();
    }
    return CsvLayout{};
}

Result<Dataset> read_csv(const std::vector<Source>& sources, std::vector<Piece> pieces, const ReaderOptions& options) {
    const CsvLayout layout = TRY(learn_csv(sources, options));
    TRY(for_each_piece(pieces.size(), options.threads, [&](unsigned, size_t i) -> Result<void> {
        pieces[i].rows = most_rows(bytes_of(sources, pieces[i]), layout);
        return {};
    }));
    size_t total = 0;
    const std::vector<size_t> first_rows = running_sum(pieces, total);
    Dataset data;
    TRY(allocate_dense(data, total, layout.columns, layout.label_size, layout.weights));
    std::vector<size_t> parsed(pieces.size());
    const ParsePiece parse = [&](unsigned, size_t i) -> Result<void> {
        parsed[i] = TRY(located(parse_csv(bytes_of(sources, pieces[i]), layout, target_at(data, first_rows[i])),
                                sources, pieces[i], Format::Csv));
        return {};
    };
    TRY(for_each_piece(pieces.size(), options.threads, parse));
    close_gaps(data, first_rows, parsed);
    return data;
}

// Whether all records have one dense shape, found by trying. False: use the general parser.
Result<bool> try_dense_records(const std::vector<Source>& sources, const std::vector<Piece>& pieces,
                               const ReaderOptions& options, Dataset& data) {
    if (pieces.empty() || options.keep_record_infos) return false;
    const auto layout = learn_recordio_layout(bytes_of(sources, pieces[0]));
    if (!layout || layout->sparse || (options.columns > 0 && options.columns != layout->columns) ||
        (options.require_label && layout->label_width == 0))
        return false;
    size_t total = 0;
    const std::vector<size_t> first_rows = running_sum(pieces, total);
    // Every dense record holds its numbers, so a well-formed input cannot ask for more than its own size.
    size_t bytes = 0;
    for (const auto& piece : pieces) bytes += piece.end - piece.begin;
    if (layout->columns + layout->label_width > 2 * bytes / total) return false;
    TRY(allocate_dense(data, total, layout->columns, layout->label_width, false));
    std::atomic<bool> uniform{true};
    const ParsePiece parse = [&](unsigned, size_t i) -> Result<void> {
        if (!uniform) return {};
        const bool fits = TRY(located(
            parse_dense_records(bytes_of(sources, pieces[i]), *layout, pieces[i].rows, target_at(data, first_rows[i])),
            sources, pieces[i], Format::RecordIo));
        if (!fits) uniform = false;
        return {};
    };
    TRY(for_each_piece(pieces.size(), options.threads, parse));
    return uniform.load();
}

Result<Dataset> parse_general_piece(const std::vector<Source>& sources, const Piece& piece,
                                    const ReaderOptions& options) {
    const std::string_view bytes = bytes_of(sources, piece);
    Dataset chunk;
    auto outcome =
        options.format == Format::Libsvm ? parse_libsvm(bytes, options, chunk) : parse_records(bytes, options, chunk);
    TRY(located(std::move(outcome), sources, piece, options.format));
    return chunk;
}

Result<Dataset> join(std::vector<Dataset>& chunks, Format format) {
    size_t values = 0;
    size_t rows = 0;
    for (const auto& chunk : chunks) {
        values += chunk.values.size();
        rows += chunk.rows;
    }
    Dataset data;
    for (auto& chunk : chunks) {
        if (format == Format::RecordIo && data.rows > 0 && chunk.rows > 0 && chunk.columns != data.columns)
            return invalid_input("records of " + std::to_string(chunk.columns) + " features after records of " +
                                 std::to_string(data.columns));
        TRY(append(data, std::move(chunk)));
        if (&chunk == &chunks.front()) {
            data.values.reserve(values);
            data.indices.reserve(data.sparse ? values : 0);
            data.row_starts.reserve(data.sparse ? rows + 1 : 0);
        }
        chunk = {};
    }
    return data;
}

Result<Dataset> read_general(const std::vector<Source>& sources, const std::vector<Piece>& pieces,
                             const ReaderOptions& options) {
    std::vector<Dataset> chunks(pieces.size());
    const ParsePiece parse = [&](unsigned, size_t i) -> Result<void> {
        chunks[i] = TRY(parse_general_piece(sources, pieces[i], options));
        return {};
    };
    TRY(for_each_piece(pieces.size(), options.threads, parse));
    auto joined = join(chunks, options.format);
    if (!joined)
        return invalid_input(std::string(sources[0].name) + " and the files after it: " + joined.error().message);
    return joined;
}

// Indices count from 1 when none of them is 0.
void shift_indices(Dataset& data) {
    if (data.indices.empty() || std::find(data.indices.begin(), data.indices.end(), 0u) != data.indices.end()) return;
    for (auto& index : data.indices) --index;
    --data.columns;
}

Result<Dataset> read_sources(const std::vector<Source>& sources, const ReaderOptions& options) {
    ReaderOptions used = options;
    const bool may_shift = options.format == Format::Libsvm && options.shift_one_based_indices;
    // 1-based data has an index equal to the number of columns; the check comes after the shift.
    if (may_shift && options.columns > 0) used.columns = options.columns + 1;
    std::vector<Piece> pieces = TRY(cut(sources, used));
    if (used.format == Format::Csv) return read_csv(sources, std::move(pieces), used);
    Dataset data;
    if (used.format == Format::RecordIo) {
        const bool dense = TRY(try_dense_records(sources, pieces, used, data));
        if (dense) return data;
    }
    data = TRY(read_general(sources, pieces, used));
    if (may_shift) {
        shift_indices(data);
        if (options.columns > 0) {
            const bool beyond = std::any_of(data.indices.begin(), data.indices.end(),
                                            [&](uint32_t index) { return index >= options.columns; });
            if (beyond)
                return invalid_input(std::string(sources[0].name) + ": a feature index is out of range for " +
                                     std::to_string(options.columns) + " features");
            data.columns = options.columns;
        }
    }
    return data;
}

std::string_view without_byte_order_mark(std::string_view text, Format format) {
    if (format != Format::RecordIo && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    return text;
}

Result<std::vector<MappedFile>> map_files(const std::vector<std::string>& files) {
    std::vector<MappedFile> mapped;
    mapped.reserve(files.size());
    for (const auto& file : files) mapped.push_back(TRY(MappedFile::open(file)));
    return mapped;
}

std::vector<Source> sources_of(const std::vector<MappedFile>& files, Format format) {
    std::vector<Source> sources;
    for (const auto& file : files) sources.push_back({file.path(), without_byte_order_mark(file.bytes(), format)});
    return sources;
}

Error out_of_memory() {
    return Error{ErrorKind::LimitExceeded, "there is not enough memory to read the data", "std::bad_alloc"};
}

// --- streaming ---

Result<void> read_csv_chunk(const std::vector<Source>& sources, const Piece& piece, const CsvLayout& layout,
                            Dataset& chunk) {
    const std::string_view bytes = bytes_of(sources, piece);
    TRY(allocate_dense(chunk, most_rows(bytes, layout), layout.columns, layout.label_size, layout.weights));
    const size_t rows = TRY(located(parse_csv(bytes, layout, target_at(chunk, 0)), sources, piece, Format::Csv));
    return allocate_dense(chunk, rows, layout.columns, layout.label_size, layout.weights);
}

Result<void> stream_csv(const std::vector<Source>& sources, const std::vector<Piece>& pieces,
                        const ReaderOptions& options, const ChunkVisitor& visit) {
    const CsvLayout layout = TRY(learn_csv(sources, options));
    std::vector<Dataset> scratch(std::max(1u, options.threads));
    return for_each_piece(pieces.size(), options.threads, [&](unsigned thread, size_t i) -> Result<void> {
        TRY(read_csv_chunk(sources, pieces[i], layout, scratch[thread]));
        return visit(thread, scratch[thread]);
    });
}

Result<void> stream_records(const std::vector<Source>& sources, const std::vector<Piece>& pieces,
                            const ReaderOptions& options, const ChunkVisitor& visit) {
    std::vector<Dataset> scratch(std::max(1u, options.threads));
    return for_each_piece(pieces.size(), options.threads, [&](unsigned thread, size_t i) -> Result<void> {
        const std::vector<Piece> one{pieces[i]};
        ReaderOptions alone = options;
        alone.threads = 1;
        bool dense = false;
        if (options.format == Format::RecordIo) dense = TRY(try_dense_records(sources, one, alone, scratch[thread]));
        if (!dense) scratch[thread] = TRY(parse_general_piece(sources, pieces[i], options));
        return visit(thread, scratch[thread]);
    });
}

// --- listing ---

Result<void> list_folder(const std::filesystem::path& folder, const FolderRules& rules, size_t depth,
                         std::vector<std::string>& files) {
    std::error_code failure;
    for (std::filesystem::directory_iterator entry(folder, failure), end; !failure && entry != end;
         entry.increment(failure)) {
        const std::string name = entry->path().filename().string();
        struct stat status {};
        if (stat(entry->path().c_str(), &status) != 0) return error_from_errno("cannot read " + entry->path().string());
        if (name.starts_with('.')) {
            if (rules.hidden_file_is_error)
                return invalid_input("Hidden file found in the data path! Remove that before training.");
            continue;
        }
        if (S_ISDIR(status.st_mode)) {
            if (depth >= rules.max_depth)
                return invalid_input("Folder depth exceed the limit: " + std::to_string(rules.max_depth) + ".");
            TRY(list_folder(entry->path(), rules, depth + 1, files));
            continue;
        }
        if (rules.skip_underscore && name.starts_with('_')) continue;
        if (!S_ISREG(status.st_mode)) return invalid_input(entry->path().string() + " is not a regular file");
        if (status.st_size > 0) files.push_back(entry->path().string());
    }
    if (failure) return invalid_input("cannot read " + folder.string() + ": " + failure.message());
    return {};
}

}  // namespace

Result<std::vector<std::string>> list_channel_files(const std::string& folder, const FolderRules& rules) {
    struct stat status {};
    if (stat(folder.c_str(), &status) != 0) return error_from_errno("cannot read " + folder);
    if (S_ISREG(status.st_mode)) return std::vector<std::string>{folder};
    std::vector<std::string> files;
    TRY(list_folder(folder, rules, 0, files));
    std::sort(files.begin(), files.end());
    return files;
}

Result<Dataset> read_files(const std::vector<std::string>& files, const ReaderOptions& options) try {
    const std::vector<MappedFile> mapped = TRY(map_files(files));
    return read_sources(sources_of(mapped, options.format), options);
} catch (const std::bad_alloc&) {
    return out_of_memory();
}

Result<Dataset> parse_bytes(std::string_view bytes, std::string_view name, const ReaderOptions& options) try {
    return read_sources({{name, without_byte_order_mark(bytes, options.format)}}, options);
} catch (const std::bad_alloc&) {
    return out_of_memory();
}

Result<void> for_each_chunk(const std::vector<std::string>& files, const ReaderOptions& options,
                            const ChunkVisitor& visit) try {
    const std::vector<MappedFile> mapped = TRY(map_files(files));
    const std::vector<Source> sources = sources_of(mapped, options.format);
    const std::vector<Piece> pieces = TRY(cut(sources, options));
    if (options.format == Format::Csv) return stream_csv(sources, pieces, options, visit);
    return stream_records(sources, pieces, options, visit);
} catch (const std::bad_alloc&) {
    return out_of_memory();
}

Result<void> apply_content_type(std::string_view content_type, ReaderOptions& options) {
    const auto parts = split(content_type, ';');
    const std::string type = to_lower(trim(parts[0]));
    if (type == "text/csv") {
        options.format = Format::Csv;
    } else if (type == "text/libsvm" || type == "text/x-libsvm") {
        options.format = Format::Libsvm;
    } else if (type == "application/x-recordio-protobuf") {
        options.format = Format::RecordIo;
    } else {
        return invalid_input("unsupported content type '" + std::string(content_type) + "'");
    }
    for (size_t i = 1; i < parts.size(); ++i) {
        const auto pair = split(trim(parts[i]), '=');
        const std::string key = to_lower(trim(pair[0]));
        if (key != "label_size") continue;  // charset and the like change nothing
        const auto size = pair.size() == 2 ? parse_int(trim(pair[1])) : std::nullopt;
        if (!size || *size < 0 || *size > 100000 || type != "text/csv")
            return invalid_input("bad label_size in content type '" + std::string(content_type) + "'");
        options.label_size = static_cast<size_t>(*size);
    }
    return {};
}

}  // namespace millwright::algorithms
