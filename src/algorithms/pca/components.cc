#include "algorithms/pca/components.h"

#include <algorithm>
#include <cmath>

namespace millwright::algorithms::pca {
namespace {

// Random bits, the same for the same seed everywhere (splitmix64).
class Bits {
  public:
    explicit Bits(uint64_t seed) : state_(seed) {}
    uint64_t next() {
        uint64_t z = (state_ += 0x9E3779B97F4A7C15);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

  private:
    uint64_t state_;
};

void fill_signs(Bits& bits, Doubles& signs, size_t count) {
    signs.resize(count);
    for (size_t i = 0; i < count; i += 64) {
        uint64_t word = bits.next();
        for (size_t j = i; j < std::min(i + 64, count); ++j, word >>= 1) signs[j] = (word & 1) != 0 ? 1.0 : -1.0;
    }
}

// Sums of one thread in pass 1.
struct Sketch {
    double count = 0;
    Doubles sum;        // d: shifted rows
    Doubles signs_sum;  // l: H 1
    Doubles sketch;     // d x l: (H X)' of shifted rows
};

void add(Sketch& to, const Sketch& from) {
    if (from.count == 0) return;
    to.count += from.count;
    for (size_t i = 0; i < to.sum.size(); ++i) to.sum[i] += from.sum[i];
    for (size_t i = 0; i < to.signs_sum.size(); ++i) to.signs_sum[i] += from.signs_sum[i];
    for (size_t i = 0; i < to.sketch.size(); ++i) to.sketch[i] += from.sketch[i];
}

Result<Sketch> draw_sketch(const Input& input, const Doubles& shift, size_t searched, size_t rank) {
    const size_t d = shift.size();
    const Sketch empty{0, Doubles(d), Doubles(searched), Doubles(d * searched)};
    const size_t threads = std::max(1u, input.options.threads);
    std::vector<Sketch> parts(threads, empty);
    std::vector<Doubles> signs(threads);
    std::vector<Bits> bits;
    for (size_t thread = 0; thread < threads; ++thread) bits.emplace_back(1 + rank * 1000003 + thread);
    const auto add_tile = [&](unsigned thread, const double* tile, size_t rows) {
        Sketch& part = parts[thread];
        fill_signs(bits[thread], signs[thread], rows * searched);
        // tile as d x rows times signs as rows x l.
        multiply(Transpose::No, Transpose::No, d, searched, rows, 1.0, tile, signs[thread].data(), 1.0,
                 part.sketch.data());
        for (size_t row = 0; row < rows; ++row)
            for (size_t column = 0; column < d; ++column) part.sum[column] += tile[row * d + column];
        for (size_t i = 0; i < searched; ++i)
            for (size_t row = 0; row < rows; ++row) part.signs_sum[i] += signs[thread][i * rows + row];
        part.count += static_cast<double>(rows);
    };
    TRY(for_each_tile(input, shift, add_tile));
    for (size_t thread = 1; thread < threads; ++thread) add(parts[0], parts[thread]);
    return std::move(parts[0]);
}

// Y (d x l) = scatter Q over the rows of this host.
Result<Doubles> multiply_scatter(const Input& input, const Doubles& mean, const Doubles& basis, size_t searched) {
    const size_t d = mean.size();
    const size_t threads = std::max(1u, input.options.threads);
    std::vector<Doubles> parts(threads, Doubles(d * searched));
    std::vector<Doubles> projected(threads, Doubles(kTileRows * searched));
    const auto add_tile = [&](unsigned thread, const double* tile, size_t rows) {
        multiply(Transpose::Yes, Transpose::No, rows, searched, d, 1.0, tile, basis.data(), 0.0,
                 projected[thread].data());
        multiply(Transpose::No, Transpose::No, d, searched, rows, 1.0, tile, projected[thread].data(), 1.0,
                 parts[thread].data());
    };
    TRY(for_each_tile(input, mean, add_tile));
    for (size_t thread = 1; thread < threads; ++thread)
        for (size_t i = 0; i < parts[0].size(); ++i) parts[0][i] += parts[thread][i];
    return std::move(parts[0]);
}

// Eigenvectors of Y (Q'Y)^-1 Y'. Directions in which the data has no extent are left out of the inverse.
Result<Components> solve_nystroem(const Doubles& basis, const Doubles& image, size_t d, size_t searched, size_t k) {
    Doubles core(searched * searched);
    multiply(Transpose::Yes, Transpose::No, searched, searched, d, 1.0, basis.data(), image.data(), 0.0, core.data());
    const Eigen eigen = TRY(largest_eigenvalues(core, searched, searched));
    const double smallest_kept = std::max(eigen.values.back(), 0.0) * 1e-14 * static_cast<double>(searched);
    Doubles scaled = eigen.vectors;
    for (size_t i = 0; i < searched; ++i) {
        const double factor = eigen.values[i] > smallest_kept ? 1.0 / std::sqrt(eigen.values[i]) : 0.0;
        for (size_t j = 0; j < searched; ++j) scaled[i * searched + j] *= factor;
    }
    Doubles root(d * searched);
    multiply(Transpose::No, Transpose::No, d, searched, searched, 1.0, image.data(), scaled.data(), 0.0, root.data());
    const Svd svd = TRY(thin_svd(root, d, searched));
    Components components;
    for (size_t i = k; i-- > 0;) {
        components.singular_values.push_back(svd.values[i]);
        const auto column = svd.left.begin() + static_cast<ptrdiff_t>(i * d);
        components.vectors.insert(components.vectors.end(), column, column + static_cast<ptrdiff_t>(d));
    }
    return components;
}

// Signs of singular vectors mean nothing; the largest entry of each is made positive, so that runs agree.
void fix_signs(Components& components) {
    const size_t d = components.mean.size();
    for (size_t i = 0; i < components.singular_values.size(); ++i) {
        double* const column = components.vectors.data() + i * d;
        const double* const largest =
            std::max_element(column, column + d, [](double a, double b) { return std::abs(a) < std::abs(b); });
        if (*largest >= 0) continue;
        for (size_t j = 0; j < d; ++j) column[j] = -column[j];
    }
}

}  // namespace

Result<Components> find_components_randomized(const Input& input, size_t k, size_t searched, Collective& collective) {
    const size_t d = input.options.columns;
    // The products are thin; cores are used by reading and converting pieces side by side.
    set_blas_threads(1);
    Doubles shift(d);
    Sketch sketch;
    const auto first_pass = [&]() -> Result<void> {
        shift = TRY(estimate_shift(input));
        sketch = TRY(draw_sketch(input, shift, searched, collective.rank()));
        return {};
    };
    TRY(collective.agree(first_pass()));
    Mean mean = TRY(merge_means(sketch.count, sketch.sum, shift, input.subtract_mean, collective));
    for (size_t i = 0; i < searched; ++i)
        for (size_t column = 0; column < d; ++column)
            sketch.sketch[i * d + column] -= sketch.signs_sum[i] * (mean.mean[column] - shift[column]);
    TRY(collective.allreduce_sum(std::span<double>(sketch.sketch)));
    TRY(orthonormalize(sketch.sketch, d, searched));

    Doubles image(d * searched);
    const auto second_pass = [&]() -> Result<void> {
        image = TRY(multiply_scatter(input, mean.mean, sketch.sketch, searched));
        return {};
    };
    TRY(collective.agree(second_pass()));
    TRY(collective.allreduce_sum(std::span<double>(image)));
    Components components = TRY(solve_nystroem(sketch.sketch, image, d, searched, k));
    components.count = mean.count;
    components.mean = std::move(mean.mean);
    fix_signs(components);
    return components;
}

Result<Components> find_components_exactly(const Input& input, size_t k, Collective& collective) {
    Moments moments = TRY(compute_moments(input, collective));
    const size_t d = moments.mean.size();
    Eigen eigen = TRY(largest_eigenvalues(moments.scatter, d, k));
    Components components{moments.count, std::move(moments.mean), std::move(eigen.values), std::move(eigen.vectors)};
    for (double& value : components.singular_values) value = std::sqrt(std::max(value, 0.0));
    fix_signs(components);
    return components;
}

}  // namespace millwright::algorithms::pca
