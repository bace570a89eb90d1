#include "services/sagemaker/operations.h"
#include "services/sagemaker/record_pages.h"

namespace millwright::services {

aws::ApiResult<Json> create_model(SageMaker& sagemaker, const aws::Call& call, const Json& input) {
    const auto model = sagemaker.models.create(call.caller.account, call.caller.region, input);
    if (!model) return record_error(model.error());
    return Json::object({{"ModelArn", model->arn}});
}

}  // namespace millwright::services
