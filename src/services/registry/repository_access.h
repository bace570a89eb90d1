// What a request for a repository asks the policies: the same question by ECR's API and by the distribution API.
#pragma once

#include <string>

#include "aws/access.h"
#include "registry/registry.h"
#include "resources/tags/tags.h"

namespace millwright::services {

// The document of a repository that says what other accounts, too, may do with it.
inline constexpr const char* kRepositoryPolicy = "policy";

// `action`: "ecr:PutImage". With the repository's own policy and, when a policy asks for them, its tags. A repository
// that does not exist has neither, and belongs to its account all the same.
Result<aws::Access> repository_access(registry::Registry& registry, resources::Tags& tags,
                                      const registry::RepositoryName& name, std::string action);

}  // namespace millwright::services
