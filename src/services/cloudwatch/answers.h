// What the operations of CloudWatch share.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "aws/service.h"
#include "resources/metrics/metrics.h"

namespace millwright::services {

aws::ApiError invalid_value(std::string text);        // InvalidParameterValue
aws::ApiError invalid_combination(std::string text);  // InvalidParameterCombination
aws::ApiError missing_parameter(std::string text);    // MissingParameter

// `path` names the list in messages ("MetricData.member.1.Dimensions"). Sorted; a name may stand once.
aws::ApiResult<resources::Dimensions> dimensions_of(const Json& list, const std::string& path);
Json dimensions_document(const resources::Dimensions& dimensions);

// One statistic of a period: Average, Sum, Minimum, Maximum, SampleCount, or a percentile as "p99.9".
struct Statistic {
    std::string name;
    std::optional<double> percentile;
};
// Nothing when the text names none; trimmed means and the like are not known.
std::optional<Statistic> parse_statistic(std::string_view text);
// Nothing for a percentile of samples that were put as sums only. REQUIRES: the first percentile of the query
// is this one.
std::optional<double> value_of(const resources::MetricPeriod& period, const Statistic& statistic);

// 1, 5, 10, 20, 30 or a multiple of 60 seconds.
bool is_valid_period(int64_t seconds);
// The last multiple of `step` not after `time`.
Timestamp floor_to(Timestamp time, std::chrono::seconds step);

}  // namespace millwright::services
