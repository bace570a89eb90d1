#include "services/sagemaker/errors.h"
#include "services/sagemaker/operations.h"

namespace millwright::services {

aws::ApiResult<Json> add_tags(SageMaker& sagemaker, const aws::Call&, const Json& input) {
    const auto tags = resources::parse_tags(input["Tags"]);
    if (!tags) return tags_error(tags.error());
    const auto all = sagemaker.tags.add(input["ResourceArn"].string_or(""), *tags);
    if (!all) return tags_error(all.error());
    return Json::object({{"Tags", resources::tags_to_json(*all)}});
}

}  // namespace millwright::services
