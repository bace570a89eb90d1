#include "base/encoding.h"
#include "oci/reference.h"
#include "services/ecr/answers.h"
#include "services/ecr/operations.h"

namespace millwright::services {

using aws::ApiResult;
using aws::Call;

// One token is good for every registry in which its key may do something.
ApiResult<Json> get_authorization_token(const EcrParts& parts, const Call& call, const Json& input) {
    const auto token = parts.login.issue(call.caller);
    if (!token) return ecr_error(token.error(), {});
    std::vector<std::string> registries;
    for (const Json& id : input["registryIds"].items()) registries.push_back(id.string_or(""));
    if (registries.empty()) registries.push_back(call.caller.account);
    Json data = Json::array();
    for (const std::string& id : registries)
        data.push_back(Json::object(
            {{"authorizationToken", to_base64(std::string(resources::kRegistryUser) + ":" + token->password)},
             {"expiresAt", to_epoch_seconds(token->expires)},
             {"proxyEndpoint", "https://" + oci::to_string(oci::EcrHost{id, call.caller.region})}}));
    return Json::object({{"authorizationData", std::move(data)}});
}

}  // namespace millwright::services
