#include "services/sagemaker/operations.h"

#include <memory>

#include "base/check.h"
#include "services/sagemaker/access.h"

namespace millwright::services {
namespace {

struct Entry {
    std::string_view name;
    SageMakerHandler* handle;
};

constexpr Entry kOperations[] = {
    {"CreateTrainingJob", create_training_job},
    {"DescribeTrainingJob", describe_training_job},
    {"ListTrainingJobs", list_training_jobs},
    {"StopTrainingJob", stop_training_job},
    {"UpdateTrainingJob", update_training_job},
    {"DeleteTrainingJob", delete_training_job},

    {"CreateModel", create_model},
    {"DescribeModel", describe_model},
    {"ListModels", list_models},
    {"DeleteModel", delete_model},

    {"CreateEndpointConfig", create_endpoint_config},
    {"DescribeEndpointConfig", describe_endpoint_config},
    {"ListEndpointConfigs", list_endpoint_configs},
    {"DeleteEndpointConfig", delete_endpoint_config},

    {"CreateEndpoint", create_endpoint},
    {"DescribeEndpoint", describe_endpoint},
    {"ListEndpoints", list_endpoints},
    {"UpdateEndpoint", update_endpoint},
    {"UpdateEndpointWeightsAndCapacities", update_endpoint_weights_and_capacities},
    {"DeleteEndpoint", delete_endpoint},

    {"AddTags", add_tags},
    {"ListTags", list_tags},
    {"DeleteTags", delete_tags},
};

}  // namespace

aws::Service sagemaker_service(const SageMaker& sagemaker) {
    const auto shared = std::make_shared<SageMaker>(sagemaker);
    aws::Service service{.signing_name = "sagemaker",
                         .model = "sagemaker",
                         .protocol = aws::Protocol::AwsJson,
                         .operations = {},
                         .stream = nullptr};
    for (const auto& entry : kOperations) {
        aws::AccessRule access = sagemaker_access_rule({shared->tags, shared->identity}, entry.name);
        CHECK(access);
        service.operations.push_back({entry.name,
                                      [shared, handle = entry.handle](const aws::Call& call, const Json& input) {
                                          return handle(*shared, call, input);
                                      },
                                      std::move(access)});
    }
    return service;
}

}  // namespace millwright::services
