#include "services/sagemaker/operations.h"
#include "services/sagemaker/record_pages.h"

namespace millwright::services {

aws::ApiResult<Json> describe_endpoint_config(SageMaker& sagemaker, const aws::Call& call, const Json& input) {
    const auto config = sagemaker.endpoint_configs.find(call.caller.account, call.caller.region,
                                                        input["EndpointConfigName"].as_string());
    if (!config) return record_error(config.error());
    Json answer = config->request;
    answer.set("EndpointConfigName", config->name.name);
    answer.set("EndpointConfigArn", config->arn);
    answer.set("CreationTime", to_epoch_seconds(config->created));
    if (!answer.has("EnableNetworkIsolation")) answer.set("EnableNetworkIsolation", false);
    return answer;
}

}  // namespace millwright::services
