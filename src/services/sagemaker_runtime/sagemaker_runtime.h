// InvokeEndpoint: POST /endpoints/{name}/invocations. The runtime shares its signing name with the control
// plane, so it is the stream handler of that service: what comes without X-Amz-Target.
#pragma once

#include "aws/service.h"
#include "inference/gateway.h"

namespace millwright::services {

// `gateway` must outlive the handler.
aws::StreamHandler sagemaker_runtime_handler(inference::Gateway& gateway);

}  // namespace millwright::services
