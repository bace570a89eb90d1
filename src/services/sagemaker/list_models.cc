#include "services/sagemaker/operations.h"
#include "services/sagemaker/record_pages.h"

namespace millwright::services {

aws::ApiResult<Json> list_models(SageMaker& sagemaker, const aws::Call& call, const Json& input) {
    return list_record_page(
        sagemaker.page_tokens, call, input,
        {"ListModels", "Models",
         [&](const auto& query) { return sagemaker.models.list(call.caller.account, call.caller.region, query); },
         [](const resources::RecordSummary& item) {
             return Json::object(
                 {{"ModelName", item.name}, {"ModelArn", item.arn}, {"CreationTime", to_epoch_seconds(item.created)}});
         }});
}

}  // namespace millwright::services
