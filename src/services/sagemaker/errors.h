// How failures of resources appear in the SageMaker API.
#pragma once

#include "aws/api_error.h"

namespace millwright::services {

// The wire names of the training job operations: a missing job is a ValidationException (whatever the model says), a
// taken name ResourceInUse, a stop that comes too late ValidationException.
aws::ApiError training_job_error(const Error& failure);
// Of AddTags, ListTags, DeleteTags.
aws::ApiError tags_error(const Error& failure);

}  // namespace millwright::services
