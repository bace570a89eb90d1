#include "base/blocking.h"
#include "services/sagemaker/operations.h"
#include "services/sagemaker/record_pages.h"

namespace millwright::services {
namespace {

Json variant_summary(const resources::Endpoint& endpoint, const resources::EndpointVariant& variant) {
    Json summary = Json::object(
        {{"VariantName", variant.name},
         {"DeployedImages", Json::array({Json::object({{"SpecifiedImage", variant.image},
                                                       {"ResolvedImage", variant.image},
                                                       {"ResolutionTime", to_epoch_seconds(endpoint.created)}})})},
         {"CurrentWeight", variant.current_weight},
         {"DesiredWeight", variant.desired_weight},
         {"CurrentInstanceCount", variant.current_count},
         {"DesiredInstanceCount", variant.desired_count}});
    if (variant.random_replica) summary.set("RoutingConfig", Json::object({{"RoutingStrategy", "RANDOM"}}));
    if (!variant.status.empty())
        summary.set("VariantStatus", Json::array({Json::object({{"Status", variant.status}})}));
    return summary;
}

}  // namespace

aws::ApiResult<Json> describe_endpoint(SageMaker& sagemaker, const aws::Call& call, const Json& input) {
    const aws::Caller& caller = call.caller;
    const std::string& name = input["EndpointName"].as_string();
    const auto held = [&] {
        const Blocking pause(Blocking::Wait::Long);
        return sagemaker.endpoints.describe_changed(caller.account, caller.region, name, sagemaker.longest_hold);
    };
    const auto endpoint = call.polling ? held() : sagemaker.endpoints.describe(caller.account, caller.region, name);
    if (!endpoint) return record_error(endpoint.error());
    Json answer = Json::object({{"EndpointName", endpoint->name.name},
                                {"EndpointArn", endpoint->arn},
                                {"EndpointConfigName", endpoint->config_name},
                                {"EndpointStatus", endpoint->status},
                                {"CreationTime", to_epoch_seconds(endpoint->created)},
                                {"LastModifiedTime", to_epoch_seconds(endpoint->modified)}});
    if (!endpoint->failure_reason.empty()) answer.set("FailureReason", endpoint->failure_reason);
    Json variants = Json::array();
    for (const resources::EndpointVariant& variant : endpoint->variants)
        variants.push_back(variant_summary(*endpoint, variant));
    if (variants.size() > 0) answer.set("ProductionVariants", std::move(variants));
    return answer;
}

}  // namespace millwright::services
