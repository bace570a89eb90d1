#include "services/registry/repository_access.h"

#include "base/strings.h"

namespace millwright::services {
namespace {

constexpr std::string_view kTagPrefixes[] = {"aws:resourcetag/", "ecr:resourcetag/"};

}  // namespace

Result<aws::Access> repository_access(registry::Registry& registry, resources::Tags& tags,
                                      const registry::RepositoryName& name, std::string action) {
    aws::Access access;
    access.action = std::move(action);
    access.resource = registry::arn_of(name);
    access.resource_account = name.account;
    const auto policy = registry.document(name, kRepositoryPolicy);
    if (!policy && policy.error().kind != ErrorKind::NotFound) return policy.error();
    if (!policy) return access;
    access.resource_policy = policy->value_or("");
    access.find_context = [&tags, arn = access.resource](std::string_view key) -> aws::Strings {
        for (const std::string_view prefix : kTagPrefixes) {
            if (!key.starts_with(prefix)) continue;
            const auto all = tags.list(arn);
            if (!all) return {};
            for (const auto& [tag, value] : *all)
                if (equals_ignoring_case(tag, key.substr(prefix.size()))) return {value};
        }
        return {};
    };
    return access;
}

}  // namespace millwright::services
