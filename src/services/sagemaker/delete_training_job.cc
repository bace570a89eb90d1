#include "services/sagemaker/errors.h"
#include "services/sagemaker/operations.h"

namespace millwright::services {

aws::ApiResult<Json> delete_training_job(SageMaker& sagemaker, const aws::Call& call, const Json& input) {
    const auto name = input["TrainingJobName"].string_or("");
    const auto removed = sagemaker.training_jobs.remove(call.caller.account, call.caller.region, name);
    if (removed) return Json::object();
    if (removed.error().kind == ErrorKind::Conflict)
        return aws::ApiError{400, "ResourceInUse", removed.error().message};
    return training_job_error(removed.error());
}

}  // namespace millwright::services
