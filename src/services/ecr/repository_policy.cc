#include "services/ecr/answers.h"
#include "services/ecr/operations.h"
#include "services/registry/repository_access.h"

namespace millwright::services {

using aws::ApiError;
using aws::ApiResult;
using aws::Call;
using registry::RepositoryName;

namespace {

Json policy_answer(const RepositoryName& repository, const std::string& text) {
    return Json::object(
        {{"registryId", repository.account}, {"repositoryName", repository.name}, {"policyText", text}});
}

ApiResult<std::string> stored_policy(const EcrParts& parts, const RepositoryName& repository) {
    const auto text = parts.registry.document(repository, kRepositoryPolicy);
    if (!text) return ecr_error(text.error(), repository);
    if (!*text)
        return ApiError{400, "RepositoryPolicyNotFoundException",
                        "Repository policy does not exist for " + place_of(repository)};
    return **text;
}

}  // namespace

ApiResult<Json> set_repository_policy(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName repository = repository_in(call, input);
    const std::string text = input["policyText"].string_or("");
    const auto policy = parts.access.compiled(text, resources::PolicyKind::Repository);
    if (!policy)
        return ecr_invalid_parameter("PolicyText", "Invalid repository policy provided: " + policy.error().message);
    if (!input["force"].bool_or(false)) {
        // Nobody locks himself out by mistake.
        auto access = TRY(repository_access(parts.registry, parts.tags, repository, "ecr:SetRepositoryPolicy"));
        access.resource_policy = text;
        if (!TRY(call.may(access)))
            return ecr_invalid_parameter("PolicyText",
                                         "the caller could not set another policy; use force to set it all the same");
    }
    const auto stored = parts.registry.set_document(repository, kRepositoryPolicy, text);
    if (!stored) return ecr_error(stored.error(), repository);
    return policy_answer(repository, text);
}

ApiResult<Json> get_repository_policy(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName repository = repository_in(call, input);
    return policy_answer(repository, TRY(stored_policy(parts, repository)));
}

ApiResult<Json> delete_repository_policy(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName repository = repository_in(call, input);
    const std::string text = TRY(stored_policy(parts, repository));
    const auto removed = parts.registry.set_document(repository, kRepositoryPolicy, std::nullopt);
    if (!removed) return ecr_error(removed.error(), repository);
    return policy_answer(repository, text);
}

}  // namespace millwright::services
