#include "services/sagemaker/errors.h"
#include "services/sagemaker/operations.h"

namespace millwright::services {

// All tags in one page: a resource has at most 50, the least a caller may ask for, and old SDKs never ask for a second.
aws::ApiResult<Json> list_tags(SageMaker& sagemaker, const aws::Call&, const Json& input) {
    if (!input["NextToken"].string_or("").empty()) return aws::validation_exception("Invalid NextToken.");
    const auto tags = sagemaker.tags.list(input["ResourceArn"].string_or(""));
    if (!tags) return tags_error(tags.error());
    return Json::object({{"Tags", resources::tags_to_json(*tags)}});
}

}  // namespace millwright::services
