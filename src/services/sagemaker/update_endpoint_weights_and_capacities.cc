#include "services/sagemaker/operations.h"
#include "services/sagemaker/record_pages.h"

namespace millwright::services {

aws::ApiResult<Json> update_endpoint_weights_and_capacities(SageMaker& sagemaker, const aws::Call& call,
                                                            const Json& input) {
    const auto endpoint =
        sagemaker.endpoints.update_weights_and_capacities(call.caller.account, call.caller.region, input);
    if (!endpoint) return record_error(endpoint.error());
    return Json::object({{"EndpointArn", endpoint->arn}});
}

}  // namespace millwright::services
