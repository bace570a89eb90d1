// What each operation of CloudWatch needs. Metrics have no ARNs: policies grant the action, and may look at the
// namespace.
#include <algorithm>
#include <iterator>

#include "services/cloudwatch/operations.h"

namespace millwright::services {
namespace {

constexpr std::string_view kOperations[] = {"PutMetricData", "GetMetricStatistics", "GetMetricData", "ListMetrics"};

}  // namespace

aws::AccessRule cloudwatch_access_rule(std::string_view operation) {
    if (std::find(std::begin(kOperations), std::end(kOperations), operation) == std::end(kOperations)) return nullptr;
    return [action = "cloudwatch:" + std::string(operation)](
               const aws::Call&, const Json& input) -> aws::ApiResult<std::vector<aws::Access>> {
        aws::Access access;
        access.action = action;
        if (input.has("Namespace"))
            access.context.emplace_back("cloudwatch:namespace", aws::Strings{input["Namespace"].string_or("")});
        return std::vector<aws::Access>{std::move(access)};
    };
}

}  // namespace millwright::services
