#include "services/sagemaker/errors.h"
#include "services/sagemaker/operations.h"

namespace millwright::services {

aws::ApiResult<Json> stop_training_job(SageMaker& sagemaker, const aws::Call& call, const Json& input) {
    const auto name = input["TrainingJobName"].string_or("");
    const auto stopped = sagemaker.training_jobs.stop(call.caller.account, call.caller.region, name);
    if (!stopped) return training_job_error(stopped.error());
    return Json::object();
}

}  // namespace millwright::services
