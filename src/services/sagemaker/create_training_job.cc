#include "services/sagemaker/errors.h"
#include "services/sagemaker/operations.h"

namespace millwright::services {

aws::ApiResult<Json> create_training_job(SageMaker& sagemaker, const aws::Call& call, const Json& input) {
    const resources::NewTrainingJob job{call.caller.account, call.caller.region, call.caller.arn, input};
    const auto arn = sagemaker.training_jobs.create(job);
    if (!arn) return training_job_error(arn.error());
    return Json::object({{"TrainingJobArn", *arn}});
}

}  // namespace millwright::services
