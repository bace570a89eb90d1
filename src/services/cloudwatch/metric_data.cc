#include <algorithm>
#include <set>

#include "base/encoding.h"
#include "base/strings.h"
#include "services/cloudwatch/answers.h"
#include "services/cloudwatch/operations.h"

namespace millwright::services {

using aws::ApiError;
using aws::ApiResult;
using aws::Call;
using resources::MetricQuery;

namespace {

constexpr size_t kMaxQueries = 500;
constexpr int64_t kMaxDatapoints = 100'800;

ApiError validation_error(std::string text) { return {400, "ValidationError", std::move(text)}; }

struct Series {
    std::string id, label;
    bool returned = true;
    Statistic statistic;
    MetricQuery query;
};

struct Point {
    double time, value;
};

ApiResult<void> refuse_unsupported(const Call& call, const Json& query, const std::string& path) {
    if (query.has("Expression"))
        return validation_error("Millwright does not evaluate metric math expressions (" + path +
                                ".Expression) yet; use MetricStat.");
    if (!query.has("MetricStat")) return validation_error("The parameter " + path + ".MetricStat is required.");
    if (query.has("Period"))
        return validation_error("The parameter " + path + ".Period belongs to an Expression; use MetricStat.Period.");
    if (query["Label"].string_or("").find("${") != std::string::npos)
        return validation_error("Millwright does not support dynamic labels (" + path + ".Label) yet.");
    if (query["AccountId"].string_or(call.caller.account) != call.caller.account)
        return validation_error("Millwright has no metrics of other accounts (" + path + ".AccountId).");
    return {};
}

ApiResult<Series> read_series(const Call& call, const Json& query, const std::string& path, Timestamp start,
                              Timestamp end) {
    TRY(refuse_unsupported(call, query, path));
    const Json& stat = query["MetricStat"];
    const Json& metric = stat["Metric"];
    Series series;
    series.id = query["Id"].as_string();
    if (series.id.empty() || series.id[0] < 'a' || series.id[0] > 'z')
        return validation_error("The value " + series.id + " for parameter " + path +
                                ".Id is invalid: it must begin with a lowercase letter.");
    if (!metric.has("Namespace") || !metric.has("MetricName"))
        return validation_error("The parameters " + path + ".MetricStat.Metric.Namespace and MetricName are required.");
    const auto statistic = parse_statistic(stat["Stat"].as_string());
    if (!statistic)
        return validation_error("The value " + stat["Stat"].as_string() + " for parameter " + path +
                                ".MetricStat.Stat is not supported: Millwright knows Average, Sum, Minimum, "
                                "Maximum, SampleCount and "
                                "percentiles such as p99.9.");
    if (!is_valid_period(stat["Period"].as_int()))
        return validation_error("The parameter " + path +
                                ".MetricStat.Period must be 1, 5, 10, 20, 30 or a multiple of 60.");
    series.statistic = *statistic;
    series.label = query["Label"].string_or(metric["MetricName"].as_string());
    series.returned = query["ReturnData"].bool_or(true);
    const std::string where = path + ".MetricStat.Metric.Dimensions";
    auto dimensions = TRY(dimensions_of(metric["Dimensions"], where));
    series.query.metric = {call.caller.account, call.caller.region, metric["Namespace"].as_string(),
                           metric["MetricName"].as_string(), std::move(dimensions)};
    series.query.period = std::chrono::seconds(stat["Period"].as_int());
    series.query.from = floor_to(start, series.query.period);
    series.query.until = end;
    if (stat.has("Unit")) series.query.unit = stat["Unit"].as_string();
    if (statistic->percentile) series.query.percentiles = {*statistic->percentile};
    return series;
}

ApiResult<std::vector<Series>> read_queries(const Call& call, const Json& input) {
    const Timestamp start = from_epoch_seconds(input["StartTime"].double_or(0));
    const Timestamp end = from_epoch_seconds(input["EndTime"].double_or(0));
    if (start >= end) return validation_error("The parameter StartTime must be less than the parameter EndTime.");
    const auto& queries = input["MetricDataQueries"].items();
    if (queries.empty() || queries.size() > kMaxQueries)
        return validation_error("The collection MetricDataQueries must have between 1 and " +
                                std::to_string(kMaxQueries) + " members.");
    std::vector<Series> all;
    std::set<std::string> ids;
    for (size_t i = 0; i < queries.size(); ++i) {
        all.push_back(
            TRY(read_series(call, queries[i], "MetricDataQueries.member." + std::to_string(i + 1), start, end)));
        if (!ids.insert(all.back().id).second)
            return validation_error(
                "The values for parameter Id in MetricDataQueries are not unique: " + all.back().id + ".");
    }
    std::erase_if(all, [](const Series& series) { return !series.returned; });
    return all;
}

ApiResult<std::vector<Point>> load_points(resources::Metrics& metrics, const Series& series, bool ascending) {
    std::vector<Point> points;
    for (const auto& period : TRY(metrics.query(series.query)))
        if (const auto value = value_of(period, series.statistic))
            points.push_back({to_epoch_seconds(period.start), *value});
    if (!ascending) std::reverse(points.begin(), points.end());
    return points;
}

// A token is "<series>:<point>", where the next page begins.
struct Place {
    size_t series = 0, point = 0;
};

ApiResult<Place> place_of(const Json& token) {
    if (token.is_null()) return Place();
    const ApiError bad(400, "InvalidNextToken", "The value for parameter NextToken is invalid.");
    const auto text = from_base64(token.string_or(""));
    if (!text) return bad;
    const auto parts = split(*text, ':');
    const auto series = parse_int(parts[0]), point = parse_int(parts.back());
    if (parts.size() != 2 || !series || !point || *series < 0 || *point < 0) return bad;
    return Place{static_cast<size_t>(*series), static_cast<size_t>(*point)};
}

Json result_document(const Series& series, const std::vector<Point>& points, size_t begin, size_t end) {
    Json times = Json::array(), values = Json::array();
    for (size_t i = begin; i < end; ++i) {
        times.push_back(points[i].time);
        values.push_back(points[i].value);
    }
    return Json::object({{"Id", series.id},
                         {"Label", series.label},
                         {"Timestamps", std::move(times)},
                         {"Values", std::move(values)},
                         {"StatusCode", end < points.size() ? "PartialData" : "Complete"}});
}

}  // namespace

ApiResult<Json> get_metric_data(resources::Metrics& metrics, const Call& call, const Json& input) {
    const auto all = TRY(read_queries(call, input));
    const bool ascending = input["ScanBy"].string_or("") == "TimestampAscending";
    const int64_t wanted = input["MaxDatapoints"].int_or(kMaxDatapoints);
    if (wanted < 1 || wanted > kMaxDatapoints)
        return validation_error("The parameter MaxDatapoints must be between 1 and " + std::to_string(kMaxDatapoints) +
                                ".");
    auto room = static_cast<size_t>(wanted);
    Place place = TRY(place_of(input["NextToken"]));
    Json results = Json::array();
    for (; place.series < all.size() && room > 0; ++place.series, place.point = 0) {
        const auto points = TRY(load_points(metrics, all[place.series], ascending));
        const size_t begin = std::min(place.point, points.size());
        const size_t end = std::min(points.size(), begin + room);
        results.push_back(result_document(all[place.series], points, begin, end));
        room -= end - begin;
        place.point = end;
        if (end < points.size()) break;
    }
    Json answer = Json::object({{"MetricDataResults", std::move(results)}, {"Messages", Json::array()}});
    if (place.series < all.size())
        answer.set("NextToken", to_base64(std::to_string(place.series) + ":" + std::to_string(place.point)));
    return answer;
}

}  // namespace millwright::services
