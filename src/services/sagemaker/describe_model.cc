#include "services/sagemaker/operations.h"
#include "services/sagemaker/record_pages.h"

namespace millwright::services {

aws::ApiResult<Json> describe_model(SageMaker& sagemaker, const aws::Call& call, const Json& input) {
    const auto model = sagemaker.models.find(call.caller.account, call.caller.region, input["ModelName"].as_string());
    if (!model) return record_error(model.error());
    Json answer = model->request;
    Json container = answer["PrimaryContainer"];
    if (!container.has("Mode")) container.set("Mode", "SingleModel");
    answer.set("PrimaryContainer", std::move(container));
    answer.set("ModelName", model->name.name);
    answer.set("ModelArn", model->arn);
    answer.set("CreationTime", to_epoch_seconds(model->created));
    if (!answer.has("EnableNetworkIsolation")) answer.set("EnableNetworkIsolation", false);
    return answer;
}

}  // namespace millwright::services
