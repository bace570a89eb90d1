#include <algorithm>

#include "services/ecr/answers.h"
#include "services/ecr/operations.h"

namespace millwright::services {

using aws::ApiError;
using aws::ApiResult;
using aws::Call;
using registry::Repository;
using registry::RepositoryName;
using Transaction = metadata_store::Transaction;

namespace {

constexpr int64_t kDefaultPage = 100;

Json repository_document(const Repository& repository) {
    return Json::object({{"repositoryArn", registry::arn_of(repository.name)},
                         {"registryId", repository.name.account},
                         {"repositoryName", repository.name.name},
                         {"repositoryUri", registry::uri_of(repository.name)},
                         {"createdAt", to_epoch_seconds(repository.created)},
                         {"imageTagMutability", repository.immutable_tags ? "IMMUTABLE" : "MUTABLE"},
                         {"imageScanningConfiguration", Json::object({{"scanOnPush", false}})},
                         {"encryptionConfiguration", Json::object({{"encryptionType", "AES256"}})}});
}

// What is asked for: MUTABLE or IMMUTABLE.
ApiResult<bool> immutable_in(const Json& input) {
    const std::string wanted = input["imageTagMutability"].string_or("MUTABLE");
    if (wanted.ends_with("_WITH_EXCLUSION") || input.has("imageTagMutabilityExclusionFilters"))
        return ecr_not_supported("exclusions from the mutability of tags");
    return wanted == "IMMUTABLE";
}

ApiResult<void> refuse_what_is_not_there(const Json& input) {
    if (input["imageScanningConfiguration"]["scanOnPush"].bool_or(false))
        return ecr_not_supported("scanning of images (scanOnPush)");
    const Json& encryption = input["encryptionConfiguration"];
    if (encryption["encryptionType"].string_or("AES256") != "AES256" || encryption.has("kmsKey"))
        return ecr_not_supported("encryption of images with KMS");
    return {};
}

}  // namespace

ApiResult<Json> create_repository(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName name = repository_in(call, input);
    TRY(refuse_what_is_not_there(input));
    const bool immutable = TRY(immutable_in(input));
    const auto tags = parse_repository_tags(input["tags"]);
    if (!tags) return repository_tags_error(tags.error());
    const auto made = parts.registry.create_repository(name, immutable, [&](Transaction& transaction) {
        return parts.tags.register_in(transaction, registry::arn_of(name), *tags);
    });
    if (!made && made.error().kind == ErrorKind::AlreadyExists)
        return ApiError{400, "RepositoryAlreadyExistsException",
                        "The repository with name '" + name.name + "' already exists in the registry with id '" +
                            name.account + "'"};
    if (!made) return ecr_error(made.error(), name);
    return Json::object({{"repository", repository_document(*made)}});
}

namespace {

ApiResult<Json> describe_named(const EcrParts& parts, const Call& call, const Json& input) {
    if (input.has("nextToken") || input.has("maxResults"))
        return ecr_invalid_parameter("repositoryNames", "must not be given with nextToken or maxResults");
    Json found = Json::array();
    for (const Json& item : input["repositoryNames"].items()) {
        const RepositoryName name{registry_in(call, input), call.caller.region, item.string_or("")};
        const auto repository = parts.registry.find_repository(name);
        if (!repository) return ecr_error(repository.error(), name);
        found.push_back(repository_document(*repository));
    }
    return Json::object({{"repositories", std::move(found)}});
}

}  // namespace

ApiResult<Json> describe_repositories(const EcrParts& parts, const Call& call, const Json& input) {
    if (input.has("repositoryNames")) return describe_named(parts, call, input);
    const RepositoryName all{registry_in(call, input), call.caller.region, "*"};
    const std::string scope = scope_of("DescribeRepositories", all, Json());
    const auto position = TRY(page_position(parts.tokens, scope, input, 1));
    const auto limit = static_cast<size_t>(input["maxResults"].int_or(kDefaultPage));
    const auto page = parts.registry.list_repositories(all.account, all.region, {position[0], limit + 1});
    if (!page) return ecr_error(page.error(), all);
    Json found = Json::array();
    for (size_t i = 0; i < std::min(limit, page->size()); ++i) found.push_back(repository_document((*page)[i]));
    Json answer = Json::object({{"repositories", std::move(found)}});
    if (page->size() > limit) answer.set("nextToken", parts.tokens.encode(scope, {(*page)[limit - 1].name.name}));
    return answer;
}

ApiResult<Json> delete_repository(const EcrParts& parts, const Call& call, const Json& input) {
    using Contents = registry::Registry::Contents;
    const RepositoryName name = repository_in(call, input);
    const auto contents = input["force"].bool_or(false) ? Contents::Remove : Contents::MustBeGone;
    const auto removed = parts.registry.remove_repository(name, contents, [&](Transaction& transaction) {
        return parts.tags.forget_in(transaction, registry::arn_of(name));
    });
    if (!removed && removed.error().kind == ErrorKind::Conflict)
        return ApiError{400, "RepositoryNotEmptyException",
                        "The repository with name '" + name.name + "' in registry with id '" + name.account +
                            "' cannot be deleted because it still contains images"};
    if (!removed) return ecr_error(removed.error(), name);
    Json document = repository_document(*removed);
    return Json::object({{"repository", std::move(document)}});
}

ApiResult<Json> put_image_tag_mutability(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName name = repository_in(call, input);
    const bool immutable = TRY(immutable_in(input));
    const auto done = parts.registry.set_immutable_tags(name, immutable);
    if (!done) return ecr_error(done.error(), name);
    return Json::object({{"registryId", name.account},
                         {"repositoryName", name.name},
                         {"imageTagMutability", immutable ? "IMMUTABLE" : "MUTABLE"}});
}

}  // namespace millwright::services
