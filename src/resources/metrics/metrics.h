// CloudWatch metrics as a resource: samples by account, region, namespace, name and dimensions.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "metadata_store/database.h"

namespace millwright::resources {

using Dimensions = std::vector<std::pair<std::string, std::string>>;  // sorted by name

struct MetricSample {
    std::string account, region, metric_namespace, name;
    Dimensions dimensions;
    Timestamp time{};
    double value = 0;
    std::string unit = "None";
};

// Thread-safe.
class Metrics {
  public:
    static Result<std::unique_ptr<Metrics>> open(metadata_store::Database& database, const Clock& clock);
    virtual ~Metrics() = default;

    virtual Result<void> put(const std::vector<MetricSample>& samples) = 0;
    // The same inside a caller's transaction, so that a log position and its samples are stored together.
    virtual Result<void> put_in(metadata_store::Transaction& transaction, const std::vector<MetricSample>& samples) = 0;
    // Calls for the CloudWatch service are declared here by whoever builds it.
};

}  // namespace millwright::resources
