// CloudWatch metrics as a resource: samples by account, region, namespace, name and dimensions.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "metadata_store/database.h"

namespace millwright::resources {

using Dimensions = std::vector<std::pair<std::string, std::string>>;  // sorted by name

// Many samples told as their sums only.
struct StatisticSet {
    double samples = 0, sum = 0, minimum = 0, maximum = 0;
};

struct MetricSample {
    std::string account, region, metric_namespace, name;
    Dimensions dimensions;
    Timestamp time{};
    double value = 0;
    std::string unit = "None";
    double count = 1;                          // so many samples of this value
    std::optional<StatisticSet> statistics{};  // in place of value and count
};

struct MetricName {
    std::string account, region, metric_namespace, name;
    Dimensions dimensions;  // all of them: metrics with others are other metrics
};

struct MetricQuery {
    MetricName metric;
    Timestamp from{}, until{};  // half open; `from` is also where the first period begins
    std::chrono::seconds period{60};
    std::optional<std::string> unit;  // of these samples only
    std::vector<double> percentiles;  // 0 to 100
};

// The samples of one period and one unit.
struct MetricPeriod {
    Timestamp start{};
    std::string unit;
    StatisticSet statistics;
    // As asked for; absent where there is no single value to count (only statistic sets were put).
    std::vector<std::optional<double>> percentiles;
};

struct MetricListQuery {
    std::string account, region;
    std::optional<std::string> metric_namespace, name;
    // A metric has all of these; without a value any value does.
    std::vector<std::pair<std::string, std::optional<std::string>>> dimensions;
    std::optional<Timestamp> active_since;
    int64_t after = 0;  // MetricList::last of the page before
    size_t limit = 500;
};

struct MetricList {
    std::vector<MetricName> metrics;
    int64_t last = 0;
    bool more = false;
};

// Thread-safe.
class Metrics {
  public:
    static Result<std::unique_ptr<Metrics>> open(metadata_store::Database& database, const Clock& clock);
    virtual ~Metrics() = default;

    virtual Result<void> put(const std::vector<MetricSample>& samples) = 0;
    // The same inside a caller's transaction, so that a log position and its samples are stored together.
    virtual Result<void> put_in(metadata_store::Transaction& transaction, const std::vector<MetricSample>& samples) = 0;

    // Periods with samples, in order of time, then unit. A metric that does not exist has none.
    virtual Result<std::vector<MetricPeriod>> query(const MetricQuery& query) = 0;
    virtual Result<MetricList> list(const MetricListQuery& query) = 0;
    virtual Timestamp now() const = 0;  // of the clock given to open()
};

}  // namespace millwright::resources
