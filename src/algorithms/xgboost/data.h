// From channels to datasets: which channels and content types the algorithm takes, and the errors when they
// are wrong.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "algorithms/common/dataset.h"
#include "algorithms/common/job_log.h"
#include "algorithms/common/training_environment.h"
#include "algorithms/xgboost/hyperparameters.h"
#include "base/result.h"

namespace millwright::algorithms::xgboost {

enum class DataFormat { Csv, Libsvm, RecordIo };

// "text/csv; label_size=1" -> Csv; empty -> Libsvm. InvalidInput with the container's words, also for
// Parquet.
Result<DataFormat> data_format(std::string_view content_type);

// "train", or "training" as many introductions call it; null when there is neither.
const Channel* train_channel(const TrainingEnvironment& environment);

// Unknown and missing channels, input modes and content types are InvalidInput.
Result<void> check_channels(const TrainingEnvironment& environment);

struct TrainingData {
    std::optional<Dataset> train;       // absent: this host got no files
    std::optional<Dataset> validation;  // absent: no files, or no such channel
    bool has_validation_channel = false;
};

// Reads both channels. Datasets without rows count as absent; data without labels is InvalidInput.
Result<TrainingData> read_channels(const TrainingEnvironment& environment, const Settings& settings, JobLog& log);

}  // namespace millwright::algorithms::xgboost
