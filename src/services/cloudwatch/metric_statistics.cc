#include "services/cloudwatch/answers.h"
#include "services/cloudwatch/operations.h"

namespace millwright::services {

using aws::ApiResult;
using aws::Call;
using resources::MetricPeriod;
using resources::MetricQuery;

namespace {

constexpr int64_t kMaxDatapoints = 1440;

struct Wanted {
    std::vector<Statistic> plain, percentiles;
};

ApiResult<Wanted> statistics_of(const Json& input) {
    Wanted wanted;
    for (const Json& name : input["Statistics"].items()) wanted.plain.push_back({name.as_string(), std::nullopt});
    for (const Json& name : input["ExtendedStatistics"].items()) {
        const auto statistic = parse_statistic(name.as_string());
        if (!statistic || !statistic->percentile)
            return invalid_value("The value " + name.as_string() +
                                 " for parameter ExtendedStatistics is not supported: Millwright knows "
                                 "percentiles such as p99.9.");
        wanted.percentiles.push_back(*statistic);
    }
    if (wanted.plain.empty() && wanted.percentiles.empty())
        return missing_parameter("At least one of the parameters Statistics and ExtendedStatistics must be specified.");
    return wanted;
}

ApiResult<MetricQuery> query_of(const Call& call, const Json& input) {
    MetricQuery query;
    auto dimensions = TRY(dimensions_of(input["Dimensions"], "Dimensions"));
    query.metric = {call.caller.account, call.caller.region, input["Namespace"].as_string(),
                    input["MetricName"].as_string(), std::move(dimensions)};
    const int64_t period = input["Period"].as_int();
    if (!is_valid_period(period))
        return invalid_value("The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60.");
    query.period = std::chrono::seconds(period);
    const Timestamp start = from_epoch_seconds(input["StartTime"].double_or(0));
    query.from = floor_to(start, std::min(query.period, std::chrono::seconds(60)));
    query.until = from_epoch_seconds(input["EndTime"].double_or(0));
    if (start >= query.until) return invalid_value("The parameter StartTime must be less than the parameter EndTime.");
    const auto points = (query.until - query.from) / query.period;
    if (points > kMaxDatapoints)
        return invalid_combination(
            "You have requested up to " + std::to_string(points) + " datapoints, which exceeds the limit of " +
            std::to_string(kMaxDatapoints) +
            ". You may reduce the datapoints requested by increasing Period, or decreasing the time range.");
    if (input.has("Unit")) query.unit = input["Unit"].as_string();
    return query;
}

Json datapoint(const MetricPeriod& period, const Wanted& wanted) {
    Json point = Json::object({{"Timestamp", to_epoch_seconds(period.start)}, {"Unit", period.unit}});
    for (const Statistic& statistic : wanted.plain) point.set(statistic.name, value_of(period, statistic).value());
    Json extended = Json::object();
    for (size_t i = 0; i < wanted.percentiles.size(); ++i)
        if (period.percentiles[i]) extended.set(wanted.percentiles[i].name, *period.percentiles[i]);
    if (extended.size() > 0) point.set("ExtendedStatistics", std::move(extended));
    return point;
}

}  // namespace

ApiResult<Json> get_metric_statistics(resources::Metrics& metrics, const Call& call, const Json& input) {
    const Wanted wanted = TRY(statistics_of(input));
    MetricQuery query = TRY(query_of(call, input));
    for (const Statistic& statistic : wanted.percentiles) query.percentiles.push_back(*statistic.percentile);
    Json points = Json::array();
    for (const MetricPeriod& period : TRY(metrics.query(query))) points.push_back(datapoint(period, wanted));
    return Json::object({{"Label", query.metric.name}, {"Datapoints", std::move(points)}});
}

}  // namespace millwright::services
