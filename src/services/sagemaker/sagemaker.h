// The SageMaker API as a service of the front: what its operations work on, and the service itself.
#pragma once

#include <chrono>
#include <memory>

#include "aws/service.h"
#include "aws/token.h"
#include "resources/endpoints/endpoints.h"
#include "resources/identity/identity.h"
#include "resources/models/models.h"
#include "resources/tags/tags.h"
#include "resources/training_jobs/training_jobs.h"
#include "services/sagemaker/recent_looks.h"

namespace millwright::services {

struct SageMaker {
    resources::TrainingJobs& training_jobs;
    resources::Models& models;
    resources::EndpointConfigs& endpoint_configs;
    resources::Endpoints& endpoints;
    resources::Tags& tags;
    resources::Identity& identity;
    const aws::PageTokens& page_tokens;
    std::chrono::milliseconds longest_hold{20'000};  // of a polling Describe; 0: answered at once
    std::shared_ptr<RecentLooks> looks = std::make_shared<RecentLooks>();
};

// Keeps its own copy of `sagemaker` (references included).
aws::Service sagemaker_service(const SageMaker& sagemaker);

}  // namespace millwright::services
