#include "algorithms/pca/moments.h"

#include <algorithm>
#include <cmath>

#include "algorithms/common/training_environment.h"

namespace millwright::algorithms::pca {
namespace {

void fill_row(const Dataset& chunk, size_t row, const Doubles& shift, double* out) {
    const size_t d = shift.size();
    if (!chunk.sparse) {
        const float* values = chunk.values.data() + row * d;
        for (size_t column = 0; column < d; ++column) out[column] = static_cast<double>(values[column]) - shift[column];
        return;
    }
    for (size_t column = 0; column < d; ++column) out[column] = -shift[column];
    const auto values = chunk.row_values(row);
    const auto columns = chunk.row_indices(row);
    for (size_t i = 0; i < values.size(); ++i) out[columns[i]] = static_cast<double>(values[i]) - shift[columns[i]];
}

// Above this, one matrix per thread is too much memory, and a single product is large enough to fill all cores.
constexpr size_t kLargestPrivateGram = 4096;

}  // namespace

Result<void> for_each_tile(const Input& input, const Doubles& shift, const TileVisitor& visit) {
    std::vector<Doubles> tiles(std::max(1u, input.options.threads));
    const auto visit_chunk = [&](unsigned thread, Dataset& chunk) -> Result<void> {
        if (termination_requested()) return Error{ErrorKind::Unavailable, "the training job was stopped", ""};
        Doubles& tile = tiles[thread];
        tile.resize(kTileRows * shift.size());
        for (size_t row = 0; row < chunk.rows; row += kTileRows) {
            const size_t rows = std::min(kTileRows, chunk.rows - row);
            for (size_t i = 0; i < rows; ++i) fill_row(chunk, row + i, shift, tile.data() + i * shift.size());
            visit(thread, tile.data(), rows);
        }
        return {};
    };
    return for_each_chunk(input.files, input.options, visit_chunk);
}

Result<Doubles> estimate_shift(const Input& input) {
    const size_t d = input.options.columns;
    Doubles sum(d);
    if (!input.subtract_mean) return sum;
    Input first = input;
    first.options.threads = 1;
    double count = 0;
    constexpr std::string_view kEnough = "enough rows seen";
    const Doubles zero(d);
    const auto add_chunk = [&](unsigned, Dataset& chunk) -> Result<void> {
        Doubles row(d);
        for (size_t i = 0; i < chunk.rows && count < static_cast<double>(input.first_rows); ++i) {
            fill_row(chunk, i, zero, row.data());
            for (size_t column = 0; column < d; ++column) sum[column] += row[column];
            ++count;
        }
        // Ends the stream; the whole input need not be read for this.
        if (count >= static_cast<double>(input.first_rows)) return Error{ErrorKind::Conflict, std::string(kEnough), ""};
        return {};
    };
    auto seen = for_each_chunk(first.files, first.options, add_chunk);
    if (!seen && seen.error().message != kEnough) return std::move(seen).error();
    for (double& number : sum) number = count > 0 ? number / count : 0;
    // Rows with infinities are reported after the full pass, by merge_means.
    if (std::any_of(sum.begin(), sum.end(), [](double number) { return !std::isfinite(number); })) return zero;
    return sum;
}

Result<Mean> merge_means(double count, const Doubles& shifted_sum, const Doubles& shift, bool subtract_mean,
                         Collective& collective) {
    // Per host: n, then n * mean.
    Doubles totals(1 + shift.size());
    totals[0] = count;
    for (size_t column = 0; column < shift.size(); ++column)
        totals[column + 1] = shifted_sum[column] + count * shift[column];
    TRY(collective.allreduce_sum(std::span<double>(totals)));
    if (totals[0] == 0) return invalid_input("The train channel has no data");
    if (std::any_of(totals.begin(), totals.end(), [](double number) { return !std::isfinite(number); }))
        return invalid_input("The train channel holds numbers that are not finite (NaN or infinity)");
    Mean mean{totals[0], Doubles(shift.size())};
    if (subtract_mean)
        for (size_t column = 0; column < shift.size(); ++column) mean.mean[column] = totals[column + 1] / totals[0];
    return mean;
}

namespace {

struct LocalMoments {
    double count = 0;
    Doubles sum;   // of shifted rows
    Doubles gram;  // of shifted rows, lower triangle
};

Result<LocalMoments> accumulate(const Input& input, const Doubles& shift) {
    const size_t d = shift.size();
    Input used = input;
    const bool private_grams = d <= kLargestPrivateGram;
    if (!private_grams) used.options.threads = 1;
    set_blas_threads(private_grams ? 1 : input.options.threads);
    std::vector<LocalMoments> parts(std::max(1u, used.options.threads));
    const auto add_tile = [&](unsigned thread, const double* tile, size_t rows) {
        LocalMoments& part = parts[thread];
        part.sum.resize(d);
        part.gram.resize(d * d);
        for (size_t row = 0; row < rows; ++row)
            for (size_t column = 0; column < d; ++column) part.sum[column] += tile[row * d + column];
        add_gram(tile, rows, d, part.gram.data());
        part.count += static_cast<double>(rows);
    };
    auto outcome = for_each_tile(used, shift, add_tile);
    // The decomposition that follows gains nothing from threads while the matrix is small.
    set_blas_threads(d <= 2048 ? 1 : input.options.threads);
    if (!outcome) return std::move(outcome).error();

    LocalMoments total = std::move(parts[0]);
    total.sum.resize(d);
    total.gram.resize(d * d);
    for (size_t thread = 1; thread < parts.size(); ++thread) {
        const LocalMoments& part = parts[thread];
        if (part.count == 0) continue;
        total.count += part.count;
        for (size_t i = 0; i < d; ++i) total.sum[i] += part.sum[i];
        for (size_t i = 0; i < d * d; ++i) total.gram[i] += part.gram[i];
    }
    return total;
}

// With e = mean - shift:  sum of (x - mean)(x - mean)' = gram - s e' - e s' + n e e',  s and gram of the shifted rows.
void centre(LocalMoments& local, const Doubles& shift, const Doubles& mean) {
    const size_t d = shift.size();
    for (size_t column = 0; column < d; ++column) {
        const double e_column = mean[column] - shift[column];
        for (size_t row = column; row < d; ++row) {
            const double e_row = mean[row] - shift[row];
            local.gram[column * d + row] -=
                local.sum[row] * e_column + e_row * local.sum[column] - local.count * e_row * e_column;
        }
    }
}

}  // namespace

Result<Moments> compute_moments(const Input& input, Collective& collective) {
    Doubles shift(input.options.columns);
    LocalMoments local;
    const auto read = [&]() -> Result<void> {
        shift = TRY(estimate_shift(input));
        local = TRY(accumulate(input, shift));
        return {};
    };
    TRY(collective.agree(read()));
    Mean mean = TRY(merge_means(local.count, local.sum, shift, input.subtract_mean, collective));
    centre(local, shift, mean.mean);
    TRY(collective.allreduce_sum(std::span<double>(local.gram)));
    return Moments{mean.count, std::move(mean.mean), std::move(local.gram)};
}

}  // namespace millwright::algorithms::pca
