#include <cmath>

#include "services/cloudwatch/answers.h"
#include "services/cloudwatch/operations.h"

namespace millwright::services {

using aws::ApiResult;
using aws::Call;
using resources::MetricSample;
using resources::StatisticSet;

namespace {

constexpr size_t kMaxData = 1000;
constexpr size_t kMaxValues = 150;
constexpr std::chrono::hours kOldest{14 * 24};
constexpr std::chrono::hours kNewest{2};

ApiResult<double> checked_number(const Json& value, const std::string& path) {
    const double number = value.double_or(std::nan(""));
    // AWS's range for values.
    if (!std::isfinite(number) || std::abs(number) > std::ldexp(1.0, 360))
        return invalid_value("The value " + value.dump() + " for parameter " + path + " is invalid.");
    return number;
}

ApiResult<StatisticSet> read_set(const Json& input, const std::string& path) {
    StatisticSet set;
    set.samples = TRY(checked_number(input["SampleCount"], path + ".SampleCount"));
    set.sum = TRY(checked_number(input["Sum"], path + ".Sum"));
    set.minimum = TRY(checked_number(input["Minimum"], path + ".Minimum"));
    set.maximum = TRY(checked_number(input["Maximum"], path + ".Maximum"));
    if (set.samples <= 0) return invalid_value("The parameter " + path + ".SampleCount must be greater than 0.");
    if (set.minimum > set.maximum)
        return invalid_value("The parameter " + path + ".Maximum must be greater than " + path + ".Minimum.");
    return set;
}

// Values with their Counts: one sample each.
ApiResult<void> read_values(const Json& datum, const std::string& path, const MetricSample& like,
                            std::vector<MetricSample>& out) {
    const auto& values = datum["Values"].items();
    const auto& counts = datum["Counts"].items();
    if (!counts.empty() && counts.size() != values.size())
        return invalid_value("The parameters " + path + ".Values and " + path + ".Counts must be of the same size.");
    if (values.size() > kMaxValues)
        return invalid_value("The collection " + path + ".Values must not have a size greater than " +
                             std::to_string(kMaxValues) + ".");
    for (size_t i = 0; i < values.size(); ++i) {
        const std::string place = ".member." + std::to_string(i + 1);
        MetricSample sample = like;
        sample.value = TRY(checked_number(values[i], path + ".Values" + place));
        if (!counts.empty()) sample.count = TRY(checked_number(counts[i], path + ".Counts" + place));
        if (sample.count <= 0)
            return invalid_value("The parameter " + path + ".Counts" + place + " must be greater than 0.");
        out.push_back(std::move(sample));
    }
    return {};
}

ApiResult<void> read_datum(const Json& datum, const std::string& path, MetricSample sample,
                           std::vector<MetricSample>& out) {
    const Timestamp now = sample.time;
    sample.name = datum["MetricName"].as_string();
    sample.dimensions = TRY(dimensions_of(datum["Dimensions"], path + ".Dimensions"));
    sample.unit = datum["Unit"].string_or("None");
    if (datum.has("Timestamp")) sample.time = from_epoch_seconds(datum["Timestamp"].double_or(0));
    if (sample.time < now - kOldest)
        return invalid_value("The parameter " + path +
                             ".Timestamp must specify a time no more than two weeks in the past.");
    if (sample.time > now + kNewest)
        return invalid_value("The parameter " + path + ".Timestamp must specify a time within two hours of now.");
    const int64_t resolution = datum["StorageResolution"].int_or(60);
    if (resolution != 1 && resolution != 60)
        return invalid_value("The parameter " + path + ".StorageResolution must be 1 or 60.");
    const bool value = datum.has("Value"), values = datum["Values"].size() > 0, set = datum.has("StatisticValues");
    if (value + values + set > 1)
        return invalid_combination("The parameters " + path + ".Value, " + path + ".Values and " + path +
                                   ".StatisticValues are mutually exclusive and you have specified more than one.");
    if (value) {
        sample.value = TRY(checked_number(datum["Value"], path + ".Value"));
        out.push_back(std::move(sample));
    } else if (values) {
        TRY(read_values(datum, path, sample, out));
    } else if (set) {
        sample.statistics = TRY(read_set(datum["StatisticValues"], path + ".StatisticValues"));
        out.push_back(std::move(sample));
    } else {
        return missing_parameter("At least one of the parameters " + path + ".Value, " + path + ".Values or " + path +
                                 ".StatisticValues must be specified.");
    }
    return {};
}

}  // namespace

ApiResult<Json> put_metric_data(resources::Metrics& metrics, const Call& call, const Json& input) {
    MetricSample like;
    like.account = call.caller.account;
    like.region = call.caller.region;
    like.metric_namespace = input["Namespace"].as_string();
    like.time = metrics.now();
    if (like.metric_namespace.starts_with("AWS/"))
        return invalid_value("The value " + like.metric_namespace + " for parameter Namespace is invalid.");
    if (input.has("EntityMetricData"))
        return invalid_combination("Millwright does not support EntityMetricData of PutMetricData yet.");
    const auto& data = input["MetricData"].items();
    if (data.empty()) return missing_parameter("The parameter MetricData is required.");
    if (data.size() > kMaxData)
        return invalid_value("The collection MetricData must not have a size greater than " + std::to_string(kMaxData) +
                             ".");
    std::vector<MetricSample> samples;
    for (size_t i = 0; i < data.size(); ++i)
        TRY(read_datum(data[i], "MetricData.member." + std::to_string(i + 1), like, samples));
    TRY(metrics.put(samples));
    return Json::object();
}

}  // namespace millwright::services
