// The operations of CloudWatch, one file each.
#pragma once

#include "aws/service.h"
#include "resources/metrics/metrics.h"

namespace millwright::services {

using CloudwatchHandler = aws::ApiResult<Json>(resources::Metrics&, const aws::Call&, const Json& input);

CloudwatchHandler put_metric_data, get_metric_statistics, get_metric_data, list_metrics;

// access.cc: what an operation needs. Null for one that is not listed there.
aws::AccessRule cloudwatch_access_rule(std::string_view operation);

}  // namespace millwright::services
