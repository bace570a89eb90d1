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
SageMakerHandler update_training_job;
SageMakerHandler delete_training_job;

SageMakerHandler create_model, describe_model, list_models, delete_model;

SageMakerHandler create_endpoint_config, describe_endpoint_config, list_endpoint_configs, delete_endpoint_config;

SageMakerHandler create_endpoint, describe_endpoint, list_endpoints, delete_endpoint, update_endpoint,
    update_endpoint_weights_and_capacities;

SageMakerHandler add_tags;
SageMakerHandler list_tags;
SageMakerHandler delete_tags;

}  // namespace millwright::services
