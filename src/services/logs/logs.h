// The CloudWatch Logs service, as far as code that uses SageMaker touches it (docs/reference/logs.md).
#pragma once

#include "aws/service.h"
#include "resources/logs/logs.h"

namespace millwright::services {

// `logs` and `clock` must outlive the service.
aws::Service logs_service(resources::Logs& logs, const Clock& clock = system_clock());

}  // namespace millwright::services
