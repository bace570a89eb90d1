#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "algorithms/common/channel_files.h"
#include "algorithms/common/collective.h"
#include "algorithms/common/job_log.h"
#include "algorithms/common/readers.h"
#include "algorithms/common/threads.h"
#include "algorithms/common/training_environment.h"
#include "algorithms/pca/components.h"
#include "algorithms/pca/model.h"
#include "algorithms/pca/pca.h"
#include "base/files.h"

namespace millwright::algorithms::pca {
namespace {

double seconds_since_1970() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

struct Settings {
    size_t feature_dim = 0;
    size_t mini_batch_size = 0;
    size_t num_components = 0;
    bool randomized = false;
    bool subtract_mean = true;
    size_t searched = 0;  // randomized: num_components + extra_components, at most feature_dim
};

Result<Settings> make_settings(const HyperparameterValues& values) {
    constexpr int64_t kLargestDimension = 1 << 30;
    Settings settings;
    const int64_t feature_dim = values.integer("feature_dim");
    if (feature_dim > kLargestDimension)
        return invalid_input("feature_dim is larger than " + std::to_string(kLargestDimension));
    settings.feature_dim = static_cast<size_t>(feature_dim);
    settings.mini_batch_size = static_cast<size_t>(values.integer("mini_batch_size"));
    settings.num_components = static_cast<size_t>(values.integer("num_components"));
    if (settings.num_components > settings.feature_dim)
        return invalid_input("num_components (" + std::to_string(settings.num_components) +
                             ") must not be larger than feature_dim (" + std::to_string(feature_dim) + ")");
    settings.randomized = values.text("algorithm_mode") == "randomized";
    settings.subtract_mean = values.boolean("subtract_mean");
    const int64_t extra = values.integer("extra_components");
    const size_t extra_used = extra < 0 ? std::max<size_t>(10, settings.num_components) : static_cast<size_t>(extra);
    settings.searched =
        std::min(settings.feature_dim, settings.num_components + std::min(extra_used, settings.feature_dim));
    return settings;
}

// The exact mode needs d x d doubles more than once; better a clear refusal than the kernel's.
Result<void> check_memory(const Settings& settings) {
    const double d = static_cast<double>(settings.feature_dim);
    const double needed = settings.randomized ? 8.0 * d * static_cast<double>(settings.searched) * 6 : 8.0 * d * d * 3;
    const double present = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
    if (needed <= present) return {};
    return invalid_input("feature_dim " + std::to_string(settings.feature_dim) + " needs " +
                         std::to_string(static_cast<int64_t>(needed / 1e9) + 1) + " GB of memory, this host has " +
                         std::to_string(static_cast<int64_t>(present / 1e9)) + " GB" +
                         (settings.randomized ? "" : "; algorithm_mode=randomized needs less"));
}

Result<void> check_channels(const TrainingEnvironment& environment) {
    if (environment.channel("train") == nullptr) return invalid_input("Missing required channel: train");
    for (const auto& channel : environment.channels) {
        if (channel.name != "train" && channel.name != "test")
            return invalid_input("Extraneous channel found: " + channel.name);
        if (channel.record_wrapped)
            return invalid_input("Channel " + channel.name +
                                 ": RecordWrapperType RecordIO is not supported, the data is in records or lines "
                                 "already; use None");
    }
    return {};
}

Result<Input> open_channel(const Channel& channel, const Settings& settings, JobLog& log) {
    Input input;
    input.options.threads = processor_count();
    input.options.columns = settings.feature_dim;
    input.options.reject_missing = true;
    input.options.format = Format::RecordIo;
    if (!channel.content_type.empty()) TRY(apply_content_type(channel.content_type, input.options));
    if (input.options.format == Format::Libsvm)
        return invalid_input("Content type '" + channel.content_type +
                             "' is not supported; use text/csv or "
                             "application/x-recordio-protobuf");
    if (input.options.format == Format::Csv && channel.content_type.find("label_size") == std::string::npos)
        log.warning("Channel " + channel.name + ": text/csv without label_size: every column is taken as a feature");
    input.first_rows = settings.mini_batch_size;
    input.subtract_mean = settings.subtract_mean;
    // A host may get no file of a sharded channel, and then not even the folder.
    if (channel.mode == "Pipe" || file_exists(channel.path))
        input.files = TRY(channel_files(channel, kFirstPartyFolders));
    return input;
}

MetricSummary one(double value) {
    MetricSummary summary;
    summary.add(value);
    return summary;
}

// A #metrics line about one measured time, in milliseconds as AWS prints it.
void log_time(JobLog& log, const std::string& name, double start, double end) {
    MetricsLine line{.start_time = start, .end_time = end};
    line.metrics = {{name, one((end - start) * 1000)}};
    log.metrics(line);
}

void log_records(JobLog& log, double records, size_t batch_size, double start, double end, std::string meta) {
    const double batches = std::ceil(records / static_cast<double>(batch_size));
    MetricsLine line{.start_time = start, .end_time = end, .meta = std::move(meta)};
    line.metrics = {{"Total Records Seen", one(records)},
                    {"Total Batches Seen", one(batches)},
                    {"Max Records Seen Between Resets", one(records)},
                    {"Max Batches Seen Between Resets", one(batches)},
                    {"Reset Count", one(records > 0 ? 1 : 0)},
                    {"Number of Records Since Last Reset", one(records)},
                    {"Number of Batches Since Last Reset", one(batches)}};
    if (line.meta == "training_data_iter") line.epoch = 0;
    log.metrics(line);
}

// Mean squared distance between the rows of the test channel and what the components keep of them.
Result<double> reconstruction_error(const Input& input, const Components& components) {
    const size_t d = components.mean.size();
    const size_t k = components.singular_values.size();
    const size_t threads = std::max(1u, input.options.threads);
    Doubles lost(threads);
    Doubles rows_seen(threads);
    std::vector<Doubles> projected(threads, Doubles(kTileRows * k));
    set_blas_threads(1);
    const auto add_tile = [&](unsigned thread, const double* tile, size_t rows) {
        multiply(Transpose::Yes, Transpose::No, rows, k, d, 1.0, tile, components.vectors.data(), 0.0,
                 projected[thread].data());
        double norm = 0;
        for (size_t i = 0; i < rows * d; ++i) norm += tile[i] * tile[i];
        for (size_t i = 0; i < rows * k; ++i) norm -= projected[thread][i] * projected[thread][i];
        lost[thread] += norm;
        rows_seen[thread] += static_cast<double>(rows);
    };
    TRY(for_each_tile(input, components.mean, add_tile));
    double rows = 0;
    double sum = 0;
    for (size_t thread = 0; thread < threads; ++thread) {
        rows += rows_seen[thread];
        sum += lost[thread];
    }
    if (rows == 0) return invalid_input("The test channel has no data");
    return std::max(0.0, sum / rows);
}

Result<void> report_on_test_data(const TrainingEnvironment& environment, const Settings& settings,
                                 const Components& components, JobLog& log) {
    const Channel* channel = environment.channel("test");
    if (channel == nullptr) {
        log.info("Test data is not provided.");
        return {};
    }
    const Input input = TRY(open_channel(*channel, settings, log));
    if (input.files.empty() && !environment.is_first_host()) return {};
    log.score("test", "mse", TRY(reconstruction_error(input, components)));
    return {};
}

void log_configuration(const TrainingEnvironment& environment, const HyperparameterValues& values, JobLog& log) {
    Json defaults = Json::object({{"_num_gpus", "auto"},
                                  {"_log_level", "info"},
                                  {"subtract_mean", "true"},
                                  {"force_dense", "true"},
                                  {"epochs", 1},
                                  {"algorithm_mode", "regular"},
                                  {"extra_components", "-1"},
                                  {"_kvstore", "dist_sync"},
                                  {"_num_kv_servers", "auto"}});
    Json provided = Json::object();
    for (const auto& [name, value] : environment.hyperparameters) provided.set(name, value);
    Json final_values = defaults;
    for (const auto& [name, value] : values.all()) final_values.set(name, value);
    log.configuration(defaults, provided, final_values);
    log.info("Using default worker.");
    log.info(environment.hosts.size() > 1 ? "Create Store: dist_sync" : "Create Store: local");
    log.info("Number of GPUs being used: 0");
}

Result<Components> find_components(const Input& input, const Settings& settings, Collective& collective) {
    if (settings.randomized)
        return find_components_randomized(input, settings.num_components, settings.searched, collective);
    return find_components_exactly(input, settings.num_components, collective);
}

// This host's rows are not known beforehand; all hosts' are in `components`.
void log_training(JobLog& log, const Components& components, const Settings& settings, double start, double end) {
    log_records(log, components.count, settings.mini_batch_size, start, end, "training_data_iter");
    log.progress_metric(100);
    log.throughput_metric(components.count / std::max(end - start, 1e-6));
}

Result<void> train(TrainingEnvironment& environment) {
    const double begin = seconds_since_1970();
    JobLog log("PCA", environment.current_host);
    const HyperparameterValues values =
        TRY(hyperparameters().parse(environment.hyperparameters, environment.algorithm_version));
    log_configuration(environment, values, log);
    const Settings settings = TRY(make_settings(values));
    TRY(check_memory(settings));
    TRY(check_channels(environment));
    TRY(load_linear_algebra());

    Collective collective = TRY(Collective::connect(environment.hosts, environment.current_host));
    auto input = open_channel(*environment.channel("train"), settings, log);
    TRY(collective.agree(input ? Result<void>() : Result<void>(input.error())));
    log.info(std::to_string(settings.feature_dim) + " feature(s) found in 'data'.");
    const double ready = seconds_since_1970();
    log_time(log, "initialize.time", begin, ready);
    log_records(log, 0, settings.mini_batch_size, begin, ready, "init_train_data_iter");

    const Components components = TRY(find_components(*input, settings, collective));
    const double trained = seconds_since_1970();
    log_time(log, "update.time", ready, trained);
    log_training(log, components, settings, ready, trained);

    if (collective.rank() == 0)
        TRY(write_file(environment.model_dir + "/" + std::string(kModelFile), encode_model(components)));
    const double written = seconds_since_1970();
    log_time(log, "finalize.time", trained, written);
    TRY(collective.agree(report_on_test_data(environment, settings, components, log)));
    MetricsLine totals{.start_time = begin, .end_time = seconds_since_1970()};
    totals.metrics = {{"setuptime", one((ready - begin) * 1000)}, {"totaltime", one((totals.end_time - begin) * 1000)}};
    log.metrics(totals);
    return {};
}

Result<std::unique_ptr<ServedModel>> load(const std::string& model_folder, const std::string&) {
    return std::unique_ptr<ServedModel>(TRY(Model::load(model_folder)));
}

}  // namespace

const Algorithm kPca{"pca", train, load};

}  // namespace millwright::algorithms::pca
