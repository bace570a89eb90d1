#include "services/sagemaker/errors.h"
#include "services/sagemaker/operations.h"

namespace millwright::services {

aws::ApiResult<Json> delete_tags(SageMaker& sagemaker, const aws::Call&, const Json& input) {
    std::vector<std::string> keys;
    for (const auto& key : input["TagKeys"].items()) keys.push_back(key.string_or(""));
    const auto removed = sagemaker.tags.remove(input["ResourceArn"].string_or(""), keys);
    if (!removed) return tags_error(removed.error());
    return Json::object();
}

}  // namespace millwright::services
