#include "base/encoding.h"
#include "base/strings.h"
#include "services/cloudwatch/answers.h"
#include "services/cloudwatch/operations.h"

namespace millwright::services {

using aws::ApiResult;
using aws::Call;

namespace {

constexpr std::chrono::hours kRecent{3};  // RecentlyActive=PT3H

std::optional<std::string> optional_text(const Json& value) {
    return value.is_string() ? std::optional(value.as_string()) : std::nullopt;
}

}  // namespace

ApiResult<Json> list_metrics(resources::Metrics& metrics, const Call& call, const Json& input) {
    if (input["IncludeLinkedAccounts"].bool_or(false))
        return invalid_value("Millwright does not support IncludeLinkedAccounts of ListMetrics yet.");
    if (input["OwningAccount"].string_or(call.caller.account) != call.caller.account)
        return invalid_value("Millwright has no metrics of other accounts (OwningAccount).");
    resources::MetricListQuery query;
    query.account = call.caller.account;
    query.region = call.caller.region;
    query.metric_namespace = optional_text(input["Namespace"]);
    query.name = optional_text(input["MetricName"]);
    for (const Json& filter : input["Dimensions"].items())
        query.dimensions.emplace_back(filter["Name"].as_string(), optional_text(filter["Value"]));
    if (input.has("RecentlyActive")) query.active_since = metrics.now() - kRecent;
    if (input.has("NextToken")) {
        const auto position = parse_int(from_base64(input["NextToken"].as_string()).value_or(""));
        if (!position) return invalid_value("The value for parameter NextToken is invalid.");
        query.after = *position;
    }
    const auto page = TRY(metrics.list(query));
    Json list = Json::array();
    for (const auto& metric : page.metrics)
        list.push_back(Json::object({{"Namespace", metric.metric_namespace},
                                     {"MetricName", metric.name},
                                     {"Dimensions", dimensions_document(metric.dimensions)}}));
    Json answer = Json::object({{"Metrics", std::move(list)}});
    if (page.more) answer.set("NextToken", to_base64(std::to_string(page.last)));
    return answer;
}

}  // namespace millwright::services
