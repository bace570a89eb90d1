#include <algorithm>

#include "resources/image_lifecycle/lifecycle_policy.h"
#include "resources/image_lifecycle/lifecycle_worker.h"
#include "services/ecr/answers.h"
#include "services/ecr/operations.h"

namespace millwright::services {

using aws::ApiError;
using aws::ApiResult;
using aws::Call;
using registry::RepositoryName;
using resources::ExpiringImage;
using resources::LifecycleImage;

namespace {

constexpr const char* kPreviewPolicy = "lifecycle preview";  // the policy that is tried out
constexpr int64_t kDefaultPage = 100;

Json policy_answer(const RepositoryName& repository, const std::string& text) {
    return Json::object(
        {{"registryId", repository.account}, {"repositoryName", repository.name}, {"lifecyclePolicyText", text}});
}

ApiResult<std::string> stored_text(const EcrParts& parts, const RepositoryName& repository, const char* kind) {
    const auto text = parts.registry.document(repository, kind);
    if (!text) return ecr_error(text.error(), repository);
    if (*text) return **text;
    const bool preview = kind == kPreviewPolicy;
    return ApiError{400, preview ? "LifecyclePolicyPreviewNotFoundException" : "LifecyclePolicyNotFoundException",
                    std::string(preview ? "Lifecycle policy preview" : "Lifecycle policy") + " does not exist for " +
                        place_of(repository)};
}

ApiResult<void> check_policy(const std::string& text) {
    const auto policy = resources::parse_image_lifecycle_policy(text);
    if (!policy) return ecr_invalid_parameter("LifecyclePolicyText", policy.error().message);
    return {};
}

ApiResult<Json> with_last_round(const EcrParts& parts, const RepositoryName& repository, const std::string& text) {
    Json answer = policy_answer(repository, text);
    const auto evaluated = resources::last_lifecycle_round(parts.registry, repository);
    if (!evaluated) return ecr_error(evaluated.error(), repository);
    if (*evaluated) answer.set("lastEvaluatedAt", to_epoch_seconds(**evaluated));
    return answer;
}

}  // namespace

ApiResult<Json> put_lifecycle_policy(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName repository = repository_in(call, input);
    const std::string text = input["lifecyclePolicyText"].string_or("");
    TRY(check_policy(text));
    const auto stored = parts.registry.set_document(repository, resources::kLifecyclePolicy, text);
    if (!stored) return ecr_error(stored.error(), repository);
    return policy_answer(repository, text);
}

ApiResult<Json> get_lifecycle_policy(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName repository = repository_in(call, input);
    const std::string text = TRY(stored_text(parts, repository, resources::kLifecyclePolicy));
    return with_last_round(parts, repository, text);
}

ApiResult<Json> delete_lifecycle_policy(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName repository = repository_in(call, input);
    const std::string text = TRY(stored_text(parts, repository, resources::kLifecyclePolicy));
    const Json answer = TRY(with_last_round(parts, repository, text));
    const auto removed = parts.registry.set_document(repository, resources::kLifecyclePolicy, std::nullopt);
    if (!removed) return ecr_error(removed.error(), repository);
    return answer;
}

// A preview is found out when it is read, so it is complete at once.
ApiResult<Json> start_lifecycle_policy_preview(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName repository = repository_in(call, input);
    std::string text = input["lifecyclePolicyText"].string_or("");
    if (text.empty()) text = TRY(stored_text(parts, repository, resources::kLifecyclePolicy));
    TRY(check_policy(text));
    const auto stored = parts.registry.set_document(repository, kPreviewPolicy, text);
    if (!stored) return ecr_error(stored.error(), repository);
    Json answer = policy_answer(repository, text);
    answer.set("status", "IN_PROGRESS");
    return answer;
}

namespace {

bool asked_for(const Json& input, const LifecycleImage& image) {
    const std::string tagged = input["filter"]["tagStatus"].string_or("ANY");
    if (tagged != "ANY" && (tagged == "UNTAGGED") != image.tags.empty()) return false;
    if (!input.has("imageIds")) return true;
    const auto& ids = input["imageIds"].items();
    return std::any_of(ids.begin(), ids.end(), [&](const Json& id) {
        const auto name = image_name_of(id);
        const bool digest = name.digest.empty() || name.digest == image.digest;
        const bool tag =
            name.tag.empty() || std::find(image.tags.begin(), image.tags.end(), name.tag) != image.tags.end();
        return digest && tag;
    });
}

Json preview_of(const LifecycleImage& image, int64_t priority) {
    Json result = Json::object({{"imageDigest", image.digest},
                                {"imagePushedAt", to_epoch_seconds(image.pushed)},
                                {"action", Json::object({{"type", "EXPIRE"}})},
                                {"appliedRulePriority", priority}});
    Json tags = Json::array();
    for (const std::string& tag : image.tags) tags.push_back(tag);
    result.set("imageTags", std::move(tags));
    return result;
}

}  // namespace

ApiResult<Json> get_lifecycle_policy_preview(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName repository = repository_in(call, input);
    const std::string text = TRY(stored_text(parts, repository, kPreviewPolicy));
    const auto policy = resources::parse_image_lifecycle_policy(text);
    if (!policy) return ecr_error(policy.error(), repository);
    const auto images = resources::lifecycle_images(parts.registry, repository);
    if (!images) return ecr_error(images.error(), repository);
    auto expiring = resources::expiring_images(*policy, *images, parts.clock.now());
    // Pages go by digest: images that come and go do not move the others.
    std::sort(expiring.begin(), expiring.end(), [&](const ExpiringImage& a, const ExpiringImage& b) {
        return (*images)[a.image].digest < (*images)[b.image].digest;
    });
    const std::string scope =
        scope_of("GetLifecyclePolicyPreview", repository, Json::array({input["imageIds"], input["filter"]}));
    const auto position = TRY(page_position(parts.tokens, scope, input, 1));
    const auto limit = static_cast<size_t>(input["maxResults"].int_or(kDefaultPage));
    Json results = Json::array(), answer = policy_answer(repository, text);
    answer.set("status", "COMPLETE");
    for (const ExpiringImage& found : expiring) {
        const LifecycleImage& image = (*images)[found.image];
        if (image.digest <= position[0] || !asked_for(input, image)) continue;
        if (results.size() == limit) {
            answer.set("nextToken", parts.tokens.encode(scope, {results[limit - 1]["imageDigest"].as_string()}));
            break;
        }
        results.push_back(preview_of(image, found.priority));
    }
    answer.set("previewResults", std::move(results));
    answer.set("summary", Json::object({{"expiringImageTotalCount", uint64_t{expiring.size()}}}));
    return answer;
}

}  // namespace millwright::services
