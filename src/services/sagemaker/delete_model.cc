#include "services/sagemaker/operations.h"
#include "services/sagemaker/record_pages.h"

namespace millwright::services {

aws::ApiResult<Json> delete_model(SageMaker& sagemaker, const aws::Call& call, const Json& input) {
    const auto done = sagemaker.models.remove(call.caller.account, call.caller.region, input["ModelName"].as_string());
    if (!done) return record_error(done.error());
    return Json::object();
}

}  // namespace millwright::services
