// One function per operation, each in the file of its name.
#pragma once

#include "aws/service.h"
#include "services/sagemaker/sagemaker.h"

namespace millwright::services {

using SageMakerHandler = aws::ApiResult<Json>(SageMaker&, const aws::Call&, const Json& input);

SageMakerHandler create_training_job;
SageMakerHandler describe_training_job;
SageMakerHandler list_training_jobs;
SageMakerHandler stop_training_job;
SageMakerHandler delete_training_job;

SageMakerHandler add_tags;
SageMakerHandler list_tags;
SageMakerHandler delete_tags;

}  // namespace millwright::services
