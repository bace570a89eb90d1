// What each operation of ECR needs: its action on the repositories that it names.
#include "base/strings.h"
#include "services/ecr/answers.h"
#include "services/ecr/operations.h"
#include "services/registry/repository_access.h"

namespace millwright::services {
namespace {

using aws::Access;
using aws::ApiResult;
using aws::Call;

enum class Target { Repository, Repositories, Arn, Registry };

struct Row {
    std::string_view operation;
    Target target;
};

constexpr Row kRows[] = {
    {"BatchCheckLayerAvailability", Target::Repository},
    {"BatchDeleteImage", Target::Repository},
    {"BatchGetImage", Target::Repository},
    {"CompleteLayerUpload", Target::Repository},
    {"CreateRepository", Target::Repository},
    {"DeleteLifecyclePolicy", Target::Repository},
    {"DeleteRepository", Target::Repository},
    {"DeleteRepositoryPolicy", Target::Repository},
    {"DescribeImages", Target::Repository},
    {"DescribeRepositories", Target::Repositories},
    {"GetAuthorizationToken", Target::Registry},
    {"GetDownloadUrlForLayer", Target::Repository},
    {"GetLifecyclePolicy", Target::Repository},
    {"GetLifecyclePolicyPreview", Target::Repository},
    {"GetRepositoryPolicy", Target::Repository},
    {"InitiateLayerUpload", Target::Repository},
    {"ListImageReferrers", Target::Repository},
    {"ListImages", Target::Repository},
    {"ListTagsForResource", Target::Arn},
    {"PutImage", Target::Repository},
    {"PutImageTagMutability", Target::Repository},
    {"PutLifecyclePolicy", Target::Repository},
    {"SetRepositoryPolicy", Target::Repository},
    {"StartLifecyclePolicyPreview", Target::Repository},
    {"TagResource", Target::Arn},
    {"UntagResource", Target::Arn},
    {"UploadLayerPart", Target::Repository},
};

void add_request_tags(const Json& input, Access& access) {
    aws::Strings keys;
    for (const Json& tag : input["tags"].items()) {
        const std::string key = tag["Key"].string_or("");
        access.context.emplace_back("aws:requesttag/" + to_lower(key), aws::Strings{tag["Value"].string_or("")});
        keys.push_back(key);
    }
    for (const Json& key : input["tagKeys"].items()) keys.push_back(key.string_or(""));
    if (!keys.empty()) access.context.emplace_back("aws:tagkeys", std::move(keys));
}

// Names of the repositories; nothing when the request is about all of them.
ApiResult<std::vector<registry::RepositoryName>> repositories_of(Target target, const Call& call, const Json& input) {
    if (target == Target::Repository) return std::vector{repository_in(call, input)};
    std::vector<registry::RepositoryName> names;
    if (target == Target::Arn) names.push_back(TRY(repository_of_arn(input["resourceArn"].string_or(""))));
    if (target == Target::Repositories)
        for (const Json& name : input["repositoryNames"].items())
            names.push_back({registry_in(call, input), call.caller.region, name.string_or("")});
    return names;
}

ApiResult<std::vector<Access>> needed(const EcrParts& parts, const Row& row, const Call& call, const Json& input) {
    const std::string action = "ecr:" + std::string(row.operation);
    std::vector<Access> all;
    const auto names = TRY(repositories_of(row.target, call, input));
    for (const registry::RepositoryName& name : names) {
        auto access = TRY(repository_access(parts.registry, parts.tags, name, action));
        add_request_tags(input, access);
        all.push_back(std::move(access));
    }
    if (!all.empty()) return all;
    Access access;
    access.action = action;
    if (row.target == Target::Repositories) {
        access.resource_account = registry_in(call, input);
        access.resource = registry::arn_of({access.resource_account, call.caller.region, "*"});
    }
    all.push_back(std::move(access));
    return all;
}

}  // namespace

aws::AccessRule ecr_access_rule(const EcrParts& parts, std::string_view operation) {
    for (const Row& row : kRows)
        if (row.operation == operation)
            return [parts, &row](const Call& call, const Json& input) { return needed(parts, row, call, input); };
    return nullptr;
}

}  // namespace millwright::services
