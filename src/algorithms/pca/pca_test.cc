#include "algorithms/pca/pca.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <random>
#include <thread>

#include "algorithms/common/ndarray.h"
#include "algorithms/common/recordio.h"
#include "algorithms/common/training_environment.h"
#include "algorithms/pca/components.h"
#include "algorithms/pca/model.h"
#include "base/files.h"
#include "base/json.h"

namespace millwright::algorithms::pca {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string golden(const std::string& name) { return std::string(MILLWRIGHT_PCA_TESTDATA "/") + name; }

class Pca : public ::testing::Test {
  protected:
    Pca() {
        CHECK(load_linear_algebra().has_value());
        folder_ = (std::filesystem::temp_directory_path() / ("pca_test." + std::to_string(getpid()))).string();
        CHECK(make_directories(folder_).has_value());
    }
    ~Pca() override { (void)remove_tree(folder_).has_value(); }

    std::string write(const std::string& name, std::string_view bytes) {
        const std::string path = folder_ + "/" + name;
        CHECK(make_directories(std::filesystem::path(path).parent_path().string()).has_value());
        CHECK(write_file(path, bytes).has_value());
        return path;
    }
    Input csv_input(std::vector<std::string> files, size_t columns) {
        Input input{std::move(files), {.format = Format::Csv, .columns = columns, .threads = 2}, 50, true};
        input.options.chunk_bytes = 4000;
        return input;
    }
    std::string folder_;
};

// Rows from a few hidden directions of falling strength, plus noise.
std::vector<std::vector<double>> make_rows(size_t rows, size_t columns, double offset, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    std::vector<std::vector<double>> directions(4, std::vector<double>(columns));
    for (auto& direction : directions)
        for (auto& number : direction) number = normal(random);
    std::vector<std::vector<double>> out(rows, std::vector<double>(columns));
    for (auto& row : out) {
        for (size_t i = 0; i < directions.size(); ++i) {
            const double amount = normal(random) * std::pow(0.5, static_cast<double>(i)) * 4;
            for (size_t column = 0; column < columns; ++column) row[column] += amount * directions[i][column];
        }
        // As stored: the oracle must see the same floats as the reader.
        for (auto& number : row)
            number = static_cast<double>(static_cast<float>(number + 0.1 * normal(random) + offset));
    }
    return out;
}

std::string to_csv(const std::vector<std::vector<double>>& rows) {
    std::string text;
    char number[40];
    for (const auto& row : rows)
        for (size_t i = 0; i < row.size(); ++i) {
            std::snprintf(number, sizeof number, "%.9g%c", row[i], i + 1 < row.size() ? ',' : '\n');
            text += number;
        }
    return text;
}

// Independent oracle: one-sided Jacobi on the centred rows; the columns turn until they are orthogonal, their lengths
// are the singular values and the accumulated rotations the right singular vectors.
struct Oracle {
    std::vector<double> values;
    std::vector<std::vector<double>> vectors;
};
Oracle jacobi(std::vector<std::vector<double>> rows, bool centre = true) {
    const size_t n = rows.size();
    const size_t d = rows[0].size();
    for (size_t j = 0; centre && j < d; ++j) {
        long double mean = 0;
        for (const auto& row : rows) mean += row[j];
        mean /= static_cast<long double>(n);
        for (auto& row : rows) row[j] = static_cast<double>(row[j] - mean);
    }
    std::vector<std::vector<double>> v(d, std::vector<double>(d));
    for (size_t i = 0; i < d; ++i) v[i][i] = 1;
    for (int sweep = 0; sweep < 30; ++sweep)
        for (size_t p = 0; p < d; ++p)
            for (size_t q = p + 1; q < d; ++q) {
                double pp = 0, qq = 0, pq = 0;
                for (const auto& row : rows) {
                    pp += row[p] * row[p];
                    qq += row[q] * row[q];
                    pq += row[p] * row[q];
                }
                if (std::abs(pq) <= 1e-15 * std::sqrt(pp * qq)) continue;
                const double zeta = (qq - pp) / (2 * pq);
                const double t = (zeta >= 0 ? 1 : -1) / (std::abs(zeta) + std::sqrt(1 + zeta * zeta));
                const double c = 1 / std::sqrt(1 + t * t);
                const auto rotate = [&](std::vector<double>& row) {
                    const double old = row[p];
                    row[p] = c * (old - t * row[q]);
                    row[q] = c * (row[q] + t * old);
                };
                for (auto& row : rows) rotate(row);
                for (auto& row : v) rotate(row);
            }
    std::vector<std::pair<double, size_t>> order;
    for (size_t j = 0; j < d; ++j) {
        double length = 0;
        for (const auto& row : rows) length += row[j] * row[j];
        order.emplace_back(std::sqrt(length), j);
    }
    std::sort(order.rbegin(), order.rend());
    Oracle oracle;
    for (const auto& [value, j] : order) {
        oracle.values.push_back(value);
        oracle.vectors.emplace_back();
        for (size_t i = 0; i < d; ++i) oracle.vectors.back().push_back(v[i][j]);
    }
    return oracle;
}

// Component i of ours counted from the largest.
double sine(const Components& ours, size_t i, const std::vector<double>& theirs) {
    const size_t d = ours.mean.size();
    const double* mine = ours.vectors.data() + (ours.singular_values.size() - 1 - i) * d;
    double dot = 0;
    for (size_t j = 0; j < d; ++j) dot += mine[j] * theirs[j];
    double rest = 0;
    for (size_t j = 0; j < d; ++j) rest += std::pow(mine[j] - dot * theirs[j], 2);
    return std::sqrt(rest);
}

void expect_equal(const Components& ours, const Oracle& oracle, double tolerance) {
    const size_t k = ours.singular_values.size();
    EXPECT_TRUE(std::is_sorted(ours.singular_values.begin(), ours.singular_values.end()));
    for (size_t i = 0; i < k; ++i) {
        EXPECT_NEAR(ours.singular_values[k - 1 - i] / oracle.values[i], 1, tolerance) << i;
        EXPECT_LT(sine(ours, i, oracle.vectors[i]), tolerance) << i;
    }
}

Components find(const Input& input, size_t k) {
    Collective alone;
    auto components = find_components_exactly(input, k, alone);
    CHECK(components.has_value());
    return std::move(*components);
}

TEST_F(Pca, EqualsNumpysSvdOnIllScaledData) {
    Oracle oracle;
    const auto expected = read_files({golden("breast_cancer_svd.csv")}, {.format = Format::Csv, .label_size = 1});
    ASSERT_TRUE(expected);
    for (size_t i = 0; i < expected->rows; ++i) {
        oracle.values.push_back(static_cast<double>(expected->labels[i]));
        const auto row = expected->dense_row(i);
        oracle.vectors.emplace_back(row.begin(), row.end());
    }
    expect_equal(find(csv_input({golden("breast_cancer.csv")}, 30), 10), oracle, 1e-6);
}

TEST_F(Pca, EqualsTheOracleAlsoFarFromTheOrigin) {
    for (const double offset : {0.0, 1000.0}) {
        const auto rows = make_rows(700, 9, offset, 5);
        const auto file = write("train.csv", to_csv(rows));
        expect_equal(find(csv_input({file}, 9), 4), jacobi(rows), 1e-6);
    }
}

TEST_F(Pca, WithoutTheMeanRowsAreTakenAsTheyAre) {
    const auto rows = make_rows(300, 6, 2, 6);
    Input input = csv_input({write("train.csv", to_csv(rows))}, 6);
    input.subtract_mean = false;
    const Components components = find(input, 3);
    expect_equal(components, jacobi(rows, false), 1e-6);
    EXPECT_THAT(components.mean, ::testing::Each(0));
}

TEST_F(Pca, SparseRowsEqualDenseOnes) {
    std::string sparse;
    std::vector<std::vector<double>> rows(200, std::vector<double>(12));
    std::mt19937 random(8);
    for (auto& row : rows) {
        std::vector<float> values;
        std::vector<uint64_t> keys;
        for (uint64_t j = 0; j < 12; ++j)
            if (random() % 4 == 0) {
                keys.push_back(j);
                values.push_back(static_cast<float>(random() % 100));
                row[j] = static_cast<double>(values.back());
            }
        const uint64_t shape[] = {12};
        append_record(sparse, {.features = {{"values", values, keys, shape}}, .label = {}, .uid = {}, .metadata = {}});
    }
    Input input = csv_input({write("train.pbr", sparse)}, 12);
    input.options.format = Format::RecordIo;
    expect_equal(find(input, 5), jacobi(rows), 1e-6);
}

TEST_F(Pca, TheSameInputGivesTheSameBits) {
    const auto file = write("train.csv", to_csv(make_rows(900, 7, 1, 9)));
    const Components first = find(csv_input({file}, 7), 3);
    for (int run = 0; run < 5; ++run) {
        const Components again = find(csv_input({file}, 7), 3);
        EXPECT_EQ(first.vectors, again.vectors);
        EXPECT_EQ(first.singular_values, again.singular_values);
    }
}

TEST_F(Pca, RandomizedCapturesAlmostAllVariance) {
    const auto rows = make_rows(600, 40, 3, 10);
    const auto file = write("train.csv", to_csv(rows));
    const Oracle oracle = jacobi(rows);
    Collective alone;
    for (const size_t k : {1, 3, 6}) {
        const auto components = find_components_randomized(csv_input({file}, 40), k, k + 10, alone);
        ASSERT_TRUE(components);
        double captured = 0;
        double possible = 0;
        for (size_t i = 0; i < k; ++i) {
            captured += std::pow(components->singular_values[k - 1 - i], 2);
            possible += std::pow(oracle.values[i], 2);
        }
        EXPECT_GT(captured / possible, 0.99) << k;
        EXPECT_LT(captured / possible, 1 + 1e-9) << k;
    }
}

TEST_F(Pca, RandomizedIsExactWhenItSearchesEveryDirection) {
    const auto rows = make_rows(300, 8, 0, 11);
    Collective alone;
    const auto components = find_components_randomized(csv_input({write("train.csv", to_csv(rows))}, 8), 4, 8, alone);
    ASSERT_TRUE(components);
    expect_equal(*components, jacobi(rows), 1e-6);
}

TEST_F(Pca, RandomizedTakesDataOfLowRank) {
    const auto file = write("train.csv", "1,0,0,0\n0,1,0,0\n2,0,0,0\n");
    Collective alone;
    const auto components = find_components_randomized(csv_input({file}, 4), 2, 4, alone);
    ASSERT_TRUE(components);
    for (const double number : components->vectors) EXPECT_TRUE(std::isfinite(number));
    expect_equal(*components, jacobi({{1, 0, 0, 0}, {0, 1, 0, 0}, {2, 0, 0, 0}}), 1e-6);
}

// --- training jobs ---

struct Job {
    std::map<std::string, std::string> hyperparameters = {
        {"feature_dim", "2"}, {"mini_batch_size", "10"}, {"num_components", "1"}};
    std::string content_type = "text/csv;label_size=0";
    std::string data = "1,1\n2,2.5\n3,3\n";
};

class PcaJob : public Pca {
  protected:
    TrainingEnvironment environment(const Job& job, const std::string& host = "algo-1") {
        TrainingEnvironment environment;
        environment.base = folder_ + "/" + host;
        environment.model_dir = environment.base + "/model";
        environment.failure_path = environment.base + "/failure";
        CHECK(make_directories(environment.model_dir).has_value());
        if (!job.data.empty()) write(host + "/train/data", job.data);
        Channel channel;
        channel.name = "train";
        channel.path = environment.base + "/train";
        channel.content_type = job.content_type;
        environment.channels = {channel};
        environment.hyperparameters = job.hyperparameters;
        environment.hosts = {host};
        environment.current_host = host;
        return environment;
    }
    std::string failure(const Job& job) {
        auto job_environment = environment(job);
        auto outcome = kPca.train(job_environment);
        if (outcome) {
            ADD_FAILURE() << "the job succeeded";
            return "";
        }
        EXPECT_EQ(outcome.error().kind, ErrorKind::InvalidInput);
        return outcome.error().message;
    }
};

TEST_F(PcaJob, WritesAModelThatServesProjections) {
    auto job_environment = environment({.data = "1,1\n2,2\n3,3\n"});
    const auto outcome = kPca.train(job_environment);
    ASSERT_TRUE(outcome) << outcome.error().message;
    const auto file = read_ndarrays(*read_file(job_environment.model_dir + "/model_algo-1"));
    ASSERT_TRUE(file);
    EXPECT_THAT(file->names, ElementsAre("mean", "v", "s"));
    EXPECT_THAT(file->find("mean")->shape, ElementsAre(1, 2));
    EXPECT_THAT(file->find("v")->shape, ElementsAre(2, 1));
    EXPECT_THAT(*file->find("mean")->to_floats(), ElementsAre(2, 2));
    EXPECT_THAT(*file->find("s")->to_floats(), ElementsAre(2));

    auto model = kPca.load(job_environment.model_dir, "1");
    ASSERT_TRUE(model) << model.error().message;
    const ServeReply json = (*model)->invoke({"text/csv", "", "", "2,2\n3,3\n"});
    EXPECT_EQ(json.status, 200);
    EXPECT_EQ(json.content_type, "application/json");
    EXPECT_EQ(json.body, R"({"projections":[{"projection":[0.0]},{"projection":[1.4142135]}]})");
    EXPECT_EQ((*model)
                  ->invoke({"application/json", "application/jsonlines", "", R"({"instances":[{"features":[2,2]}]})"})
                  .body,
              "{\"projection\":[0.0]}\n");
    EXPECT_THAT((*model)->invoke({"text/csv", "application/x-recordio-protobuf", "", "2,2"}).body,
                HasSubstr("projection"));
    EXPECT_EQ((*model)->invoke({"text/csv", "", "", "1,2,3"}).status, 400);
    EXPECT_EQ((*model)->invoke({"image/png", "", "", "x"}).status, 415);
    EXPECT_EQ((*model)->invoke({"text/csv", "text/csv", "", "1,2"}).status, 406);
}

TEST_F(PcaJob, SparseRequestsEqualDenseOnes) {
    Components components{3, {0.5, -1, 2}, {1, 2}, {0.6, 0.8, 0, 0, 0, 1}};
    const auto model = Model::decode(encode_model(components));
    ASSERT_TRUE(model);
    const ServeReply dense = model->invoke({"application/json", "", "", R"({"instances":[{"features":[0,3,4]}]})"});
    const ServeReply sparse =
        model->invoke({"application/json", "", "",
                       R"({"instances":[{"data":{"features":{"keys":[1,2],"shape":[3],"values":[3,4]}}}]})"});
    EXPECT_EQ(dense.body, R"({"projections":[{"projection":[2.9,2.0]}]})");
    EXPECT_EQ(sparse.body, dense.body);
}

TEST_F(PcaJob, UserErrorsAreClientErrors) {
    EXPECT_EQ(failure({.hyperparameters = {{"feature_dim", "2"}, {"mini_batch_size", "1"}, {"num_components", "3"}}}),
              "num_components (3) must not be larger than feature_dim (2)");
    EXPECT_THAT(failure({.hyperparameters = {{"feature_dim", "2"}, {"mini_batch_size", "1"}}}),
                HasSubstr("'num_components' is a required property"));
    EXPECT_THAT(failure({.hyperparameters = {{"feature_dim", "3"}, {"mini_batch_size", "1"}, {"num_components", "1"}}}),
                HasSubstr("line 1: the row has 2 fields, expected 3"));
    EXPECT_THAT(failure({.data = "1,2\n3,x\n"}), HasSubstr("line 2: 'x' is not a number"));
    EXPECT_THAT(failure({.data = "1,2\n3,\n"}), HasSubstr("line 2: field 2 is empty"));
    EXPECT_THAT(failure({.data = "1,2\n3,nan\n"}), HasSubstr("not finite"));
    EXPECT_THAT(failure({.content_type = "", .data = "1,2\n3,4\n"}), HasSubstr("RecordIO magic number expected"));
    EXPECT_THAT(failure({.content_type = "text/libsvm"}), HasSubstr("not supported"));
    (void)remove_tree(folder_).has_value();
    EXPECT_EQ(failure({.data = ""}), "The train channel has no data");
}

TEST_F(PcaJob, WrongChannelsAreRefused) {
    auto job_environment = environment({});
    job_environment.channels[0].name = "validation";
    EXPECT_EQ(kPca.train(job_environment).error().message, "Missing required channel: train");
    job_environment = environment({});
    job_environment.channels.push_back(job_environment.channels[0]);
    job_environment.channels[1].name = "extra";
    EXPECT_EQ(kPca.train(job_environment).error().message, "Extraneous channel found: extra");
    job_environment = environment({});
    job_environment.channels[0].mode = "Pipe";
    EXPECT_THAT(kPca.train(job_environment).error().message, HasSubstr("cannot open"));  // there is no train_0
}

TEST_F(Pca, HostsTogetherFindWhatOneFinds) {
    const auto rows = make_rows(400, 8, 100, 12);
    const Oracle oracle = jacobi(rows);
    for (const size_t count : {2, 4}) {
        std::vector<std::string> hosts;
        for (size_t i = 1; i <= count; ++i) hosts.push_back("127.0.0." + std::to_string(i));
        std::vector<Components> found(count);
        // Below those that the kernel gives away.
        const auto port = static_cast<uint16_t>(20000 + (getpid() * 7 + static_cast<int>(count)) % 12000);
        std::vector<std::jthread> threads;
        for (size_t rank = 0; rank < count; ++rank)
            threads.emplace_back([&, rank] {
                // The last host has no rows at all.
                const size_t parts = count - 1;
                std::vector<std::vector<double>> part;
                for (size_t i = rank; i < rows.size() && rank < parts; i += parts) part.push_back(rows[i]);
                std::vector<std::string> files;
                if (!part.empty()) files.push_back(write("host" + std::to_string(rank) + ".csv", to_csv(part)));
                auto collective = Collective::connect(hosts, hosts[rank],
                                                      {.port = port, .connect_timeout = std::chrono::seconds(30)});
                ASSERT_TRUE(collective) << collective.error().message;
                auto components = find_components_exactly(csv_input(files, 8), 4, *collective);
                ASSERT_TRUE(components) << components.error().message;
                found[rank] = std::move(*components);
            });
        threads.clear();
        expect_equal(found[0], oracle, 1e-6);
        for (const auto& components : found) EXPECT_EQ(components.vectors, found[0].vectors);
    }
}

TEST(PcaModel, ForeignBytesAreRefused) {
    EXPECT_FALSE(Model::decode("not a model"));
    const NdFile wrong{{NdArray::floats({2}, {1, 2})}, {"mean"}};
    EXPECT_FALSE(Model::decode(write_ndarrays(wrong)));
    const NdFile mismatch{{NdArray::floats({1, 2}, {1, 2}), NdArray::floats({3, 1}, {1, 2, 3})}, {"mean", "v"}};
    EXPECT_EQ(Model::decode(write_ndarrays(mismatch)).error().message,
              "the array 'v' of the model has the wrong shape");
    EXPECT_FALSE(kPca.load("/absent", "1"));
}

}  // namespace
}  // namespace millwright::algorithms::pca
