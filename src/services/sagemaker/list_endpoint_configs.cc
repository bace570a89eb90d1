#include "services/sagemaker/operations.h"
#include "services/sagemaker/record_pages.h"

namespace millwright::services {

aws::ApiResult<Json> list_endpoint_configs(SageMaker& sagemaker, const aws::Call& call, const Json& input) {
    return list_record_page(sagemaker.page_tokens, call, input,
                            {"ListEndpointConfigs", "EndpointConfigs",
                             [&](const auto& query) {
                                 return sagemaker.endpoint_configs.list(call.caller.account, call.caller.region, query);
                             },
                             [](const resources::RecordSummary& item) {
                                 return Json::object({{"EndpointConfigName", item.name},
                                                      {"EndpointConfigArn", item.arn},
                                                      {"CreationTime", to_epoch_seconds(item.created)}});
                             }});
}

}  // namespace millwright::services
