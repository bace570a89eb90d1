#include "services/sagemaker/operations.h"
#include "services/sagemaker/record_pages.h"

namespace millwright::services {

aws::ApiResult<Json> list_endpoints(SageMaker& sagemaker, const aws::Call& call, const Json& input) {
    return list_record_page(
        sagemaker.page_tokens, call, input,
        {"ListEndpoints", "Endpoints",
         [&](const auto& query) { return sagemaker.endpoints.list(call.caller.account, call.caller.region, query); },
         [](const resources::RecordSummary& item) {
             return Json::object({{"EndpointName", item.name},
                                  {"EndpointArn", item.arn},
                                  {"CreationTime", to_epoch_seconds(item.created)},
                                  {"LastModifiedTime", to_epoch_seconds(item.modified)},
                                  {"EndpointStatus", item.status}});
         }});
}

}  // namespace millwright::services
