// Throughput of the readers, in bytes of input per second, on one thread and on two.
#include "algorithms/common/readers.h"

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "algorithms/common/recordio.h"
#include "base/files.h"

namespace millwright::algorithms {
namespace {

constexpr size_t kRows = 100000;
constexpr size_t kColumns = 50;

// 100,000 x 50: CSV about 48 MB, records of 200 bytes of numbers.
std::string make_input(Format format) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::string out;
    std::vector<float> row(kColumns);
    char text[32];
    for (size_t i = 0; i < kRows; ++i) {
        for (auto& number : row) number = normal(random);
        if (format == Format::RecordIo) {
            append_record(out, {.features = {{"values", row, {}, {}}}, .label = {}, .uid = {}, .metadata = {}});
            continue;
        }
        if (format == Format::Libsvm) out += i % 2 ? "1" : "0";
        for (size_t column = 0; column < kColumns; ++column) {
            const int length =
                format == Format::Csv
                    ? std::snprintf(text, sizeof text, "%.6f%c", static_cast<double>(row[column]),
                                    column + 1 < kColumns ? ',' : '\n')
                    : std::snprintf(text, sizeof text, " %zu:%.6f", column, static_cast<double>(row[column]));
            out.append(text, static_cast<size_t>(length));
        }
        if (format == Format::Libsvm) out += '\n';
    }
    return out;
}

void read_input(benchmark::State& state, Format format) {
    const std::string input = make_input(format);
    const ReaderOptions options{.format = format, .threads = static_cast<unsigned>(state.range(0))};
    for (auto _ : state) {
        auto data = parse_bytes(input, "input", options);
        if (!data || data->rows != kRows) state.SkipWithError("not read");
        benchmark::DoNotOptimize(data);
    }
    state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * input.size()));
}

// Decoding alone: chunks in a reused buffer, as the streaming algorithms see them.
void stream_records(benchmark::State& state) {
    const std::string path = std::filesystem::temp_directory_path() / ("readers_bench." + std::to_string(getpid()));
    const std::string input = make_input(Format::RecordIo);
    if (!write_file(path, input)) state.SkipWithError("cannot write");
    const ReaderOptions options{.format = Format::RecordIo, .threads = static_cast<unsigned>(state.range(0))};
    for (auto _ : state) {
        if (!for_each_chunk({path}, options, [](unsigned, Dataset&) -> Result<void> { return {}; }))
            state.SkipWithError("not read");
    }
    std::filesystem::remove(path);
    state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * input.size()));
}

BENCHMARK_CAPTURE(read_input, csv, Format::Csv)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK_CAPTURE(read_input, libsvm, Format::Libsvm)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK_CAPTURE(read_input, recordio, Format::RecordIo)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(stream_records)->Arg(1)->Arg(2)->UseRealTime();

}  // namespace
}  // namespace millwright::algorithms
