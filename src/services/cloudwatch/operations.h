// The operations of CloudWatch, one file each.
#pragma once

#include "aws/service.h"
#include "resources/metrics/metrics.h"

namespace millwright::services {

using CloudwatchHandler = aws::ApiResult<Json>(resources::Metrics&, const aws::Call&, const Json& input);

CloudwatchHandler put_metric_data, get_metric_statistics, get_metric_data, list_metrics;

}  // namespace millwright::services
