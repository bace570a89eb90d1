#include "services/cloudwatch/answers.h"

#include <algorithm>
#include <array>

#include "base/strings.h"

namespace millwright::services {

using aws::ApiError;
using aws::ApiResult;
using resources::Dimensions;

ApiError invalid_value(std::string text) { return {400, "InvalidParameterValue", std::move(text)}; }
ApiError invalid_combination(std::string text) { return {400, "InvalidParameterCombination", std::move(text)}; }
ApiError missing_parameter(std::string text) { return {400, "MissingParameter", std::move(text)}; }

ApiResult<Dimensions> dimensions_of(const Json& list, const std::string& path) {
    Dimensions dimensions;
    for (const Json& item : list.items()) dimensions.emplace_back(item["Name"].as_string(), item["Value"].as_string());
    std::sort(dimensions.begin(), dimensions.end());
    const auto same_name = [](const auto& a, const auto& b) { return a.first == b.first; };
    const auto twice = std::adjacent_find(dimensions.begin(), dimensions.end(), same_name);
    if (twice != dimensions.end())
        return invalid_value("The parameter " + path + " has the dimension " + twice->first + " more than once.");
    return dimensions;
}

Json dimensions_document(const Dimensions& dimensions) {
    Json list = Json::array();
    for (const auto& [name, value] : dimensions) list.push_back(Json::object({{"Name", name}, {"Value", value}}));
    return list;
}

std::optional<Statistic> parse_statistic(std::string_view text) {
    constexpr std::array<std::string_view, 5> kNames = {"Average", "Maximum", "Minimum", "SampleCount", "Sum"};
    if (std::find(kNames.begin(), kNames.end(), text) != kNames.end())
        return Statistic{std::string(text), std::nullopt};
    if (!text.starts_with('p') || text.find_first_not_of("0123456789.", 1) != std::string_view::npos)
        return std::nullopt;
    const auto percent = parse_double(text.substr(1));
    if (!percent || *percent < 0 || *percent > 100) return std::nullopt;
    return Statistic{std::string(text), percent};
}

std::optional<double> value_of(const resources::MetricPeriod& period, const Statistic& statistic) {
    if (statistic.percentile) return period.percentiles.at(0);
    const auto& set = period.statistics;
    if (statistic.name == "Sum") return set.sum;
    if (statistic.name == "Minimum") return set.minimum;
    if (statistic.name == "Maximum") return set.maximum;
    if (statistic.name == "SampleCount") return set.samples;
    return set.samples == 0 ? 0 : set.sum / set.samples;
}

bool is_valid_period(int64_t seconds) {
    return seconds == 1 || seconds == 5 || seconds == 10 || seconds == 20 || seconds == 30 ||
           (seconds > 0 && seconds % 60 == 0);
}

Timestamp floor_to(Timestamp time, std::chrono::seconds step) {
    const int64_t ms = to_epoch_milliseconds(time), step_ms = step.count() * 1000;
    const int64_t rest = ((ms % step_ms) + step_ms) % step_ms;
    return from_epoch_milliseconds(ms - rest);
}

}  // namespace millwright::services
