#include "services/sagemaker/operations.h"
#include "services/sagemaker/record_pages.h"

namespace millwright::services {

aws::ApiResult<Json> create_endpoint_config(SageMaker& sagemaker, const aws::Call& call, const Json& input) {
    const auto config = sagemaker.endpoint_configs.create(call.caller.account, call.caller.region, input);
    if (!config) return record_error(config.error());
    return Json::object({{"EndpointConfigArn", config->arn}});
}

}  // namespace millwright::services
