#include "services/cloudwatch/cloudwatch.h"

#include "services/cloudwatch/operations.h"

namespace millwright::services {
namespace {

struct Entry {
    std::string_view name;
    CloudwatchHandler* handle;
};

constexpr Entry kOperations[] = {
    {"PutMetricData", put_metric_data},
    {"GetMetricStatistics", get_metric_statistics},
    {"GetMetricData", get_metric_data},
    {"ListMetrics", list_metrics},
};

}  // namespace

aws::Service cloudwatch_service(resources::Metrics& metrics) {
    aws::Service service{.signing_name = "monitoring",
                         .model = "cloudwatch",
                         .protocol = aws::Protocol::QueryAndJson,
                         .operations = {},
                         .stream = nullptr};
    for (const Entry& entry : kOperations)
        service.operations.push_back({entry.name,
                                      [&metrics, handle = entry.handle](const aws::Call& call, const Json& input) {
                                          return handle(metrics, call, input);
                                      },
                                      cloudwatch_access_rule(entry.name)});
    return service;
}

}  // namespace millwright::services
