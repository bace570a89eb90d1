#include "algorithms/xgboost/data.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <thread>

#include "algorithms/common/channel_files.h"
#include "algorithms/common/readers.h"
#include "base/strings.h"

namespace millwright::algorithms::xgboost {
namespace {

constexpr std::string_view kAcceptedTypes =
    "csv, libsvm, recordio-protobuf, text/csv, text/libsvm, text/x-libsvm, application/x-recordio-protobuf.";

ReaderOptions reader_options(DataFormat format, const Settings& settings) {
    ReaderOptions options;
    options.threads = settings.threads > 0 ? static_cast<unsigned>(settings.threads)
                                           : std::max(1U, std::thread::hardware_concurrency());
    switch (format) {
        case DataFormat::Csv:
            options.format = Format::Csv;
            options.label_size = 1;
            options.csv_weights = settings.csv_weights;
            options.sniff_delimiter = true;
            break;
        case DataFormat::Libsvm:
            options.format = Format::Libsvm;
            break;
        case DataFormat::RecordIo:
            options.format = Format::RecordIo;
            options.require_label = true;
            break;
    }
    return options;
}

// Files of equal name and size in both channels are probably the same data.
void warn_about_same_files(const std::vector<std::string>& train, const std::vector<std::string>& validation,
                           JobLog& log) {
    std::map<std::string, std::string> by_name;
    for (const std::string& path : train) by_name.emplace(std::filesystem::path(path).filename().string(), path);
    for (const std::string& path : validation) {
        const auto same = by_name.find(std::filesystem::path(path).filename().string());
        if (same == by_name.end()) continue;
        struct stat a {};
        struct stat b {};
        if (stat(path.c_str(), &a) != 0 || stat(same->second.c_str(), &b) != 0 || a.st_size != b.st_size) continue;
        log.warning("Suspected identical files found. (" + same->second + " and " + path + " with same size " +
                    std::to_string(a.st_size) +
                    " bytes). Note: Duplicate data in the training set and validation set is usually not "
                    "intentional and can impair the "
                    "validity of the model evaluation by the validation score.");
    }
}

Result<std::optional<Dataset>> read_dataset(const std::vector<std::string>& files, const ReaderOptions& options) {
    if (files.empty()) return std::optional<Dataset>();
    Dataset data = TRY(read_files(files, options));
    if (data.rows == 0) return std::optional<Dataset>();
    if (data.labels.size() != data.rows) {
        return invalid_input("Got input data without labels. Please check the input data set.");
    }
    return std::optional<Dataset>(std::move(data));
}

Result<void> check_channel(const Channel& channel) {
    const auto format = TRY(data_format(channel.content_type));
    if (channel.mode != "Pipe") return {};
    const auto unsupported = [&](const std::string& what) {
        return invalid_input("Channel configuration for '" + channel.name + "' channel is not supported: " + what);
    };
    if (format == DataFormat::Libsvm) return unsupported("libsvm with TrainingInputMode Pipe; please use File mode");
    if (channel.record_wrapped) return unsupported("RecordWrapperType RecordIO; please use None");
    return {};
}

}  // namespace

const Channel* train_channel(const TrainingEnvironment& environment) {
    const Channel* train = environment.channel("train");
    return train != nullptr ? train : environment.channel("training");
}

Result<DataFormat> data_format(std::string_view content_type) {
    if (content_type.empty()) return DataFormat::Libsvm;
    const std::string lower = to_lower(content_type);
    const auto parts = split(lower, ';');
    const std::string_view type = trim(parts.front());
    if (type == "csv" || type == "text/csv") {
        for (size_t i = 1; i < parts.size(); ++i) {
            const std::string_view parameter = trim(parts[i]);
            if (!parameter.starts_with("label_size=")) continue;
            std::string_view value = parameter.substr(std::string_view("label_size=").size());
            if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
                value = value.substr(1, value.size() - 2);
            if (trim(value) != "1") {
                return invalid_input(
                    std::string(content_type) +
                    " is not an accepted csv ContentType. Optional parameter label_size must be equal to 1");
            }
        }
        return DataFormat::Csv;
    }
    if (type == "libsvm" || type == "text/libsvm" || type == "text/x-libsvm") return DataFormat::Libsvm;
    if (type == "recordio-protobuf" || type == "application/x-recordio-protobuf") return DataFormat::RecordIo;
    if (type == "parquet" || type == "application/x-parquet") {
        return invalid_input(std::string(content_type) +
                             " is not supported yet: Millwright has no Parquet reader. Accepted are " +
                             std::string(kAcceptedTypes));
    }
    return invalid_input(std::string(content_type) + " is not an accepted ContentType: " + std::string(kAcceptedTypes));
}

Result<void> check_channels(const TrainingEnvironment& environment) {
    if (train_channel(environment) == nullptr) return invalid_input("Missing required channel: train");
    for (const Channel& channel : environment.channels) {
        if (&channel == train_channel(environment)) {
            TRY(check_channel(channel));
            continue;
        }
        if (channel.name == "code")
            return invalid_input("The channel 'code' belongs to script mode, which is not supported yet");
        if (channel.name != "validation") return invalid_input("Extraneous channel found: " + channel.name);
        TRY(check_channel(channel));
    }
    const Channel* validation = environment.channel("validation");
    if (validation == nullptr) return {};
    if (TRY(data_format(validation->content_type)) != TRY(data_format(train_channel(environment)->content_type))) {
        return invalid_input("The channels train and validation must have the same content type");
    }
    return {};
}

Result<TrainingData> read_channels(const TrainingEnvironment& environment, const Settings& settings, JobLog& log) {
    const Channel& train = *train_channel(environment);
    if (train.name != "train")
        log.warning("The channel '" + train.name + "' is taken for 'train'; AWS's container would refuse it.");
    const Channel* validation = environment.channel("validation");
    const ReaderOptions options = reader_options(TRY(data_format(train.content_type)), settings);

    TrainingData out;
    const auto train_files = TRY(channel_files(train, kXgboostFolders));
    out.train = TRY(read_dataset(train_files, options));
    if (validation == nullptr) return out;
    out.has_validation_channel = true;
    const auto validation_files = TRY(channel_files(*validation, kXgboostFolders));
    warn_about_same_files(train_files, validation_files, log);
    out.validation = TRY(read_dataset(validation_files, options));
    return out;
}

}  // namespace millwright::algorithms::xgboost
