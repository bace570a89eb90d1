// The CloudWatch service: metrics, without alarms and dashboards (docs/reference/cloudwatch.md).
#pragma once

#include "aws/service.h"
#include "resources/metrics/metrics.h"

namespace millwright::services {

// `metrics` must outlive the service.
aws::Service cloudwatch_service(resources::Metrics& metrics);

}  // namespace millwright::services
