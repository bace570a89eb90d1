// Our registry for the image names of jobs and models.
#pragma once

#include <memory>

#include "registry/registry.h"
#include "resources/images/image_names.h"
#include "resources/tags/tags.h"

namespace millwright::programs {

// Thread-safe. Both must outlive it.
std::unique_ptr<resources::ImageRepositories> image_repositories(registry::Registry& registry, resources::Tags& tags);

// Where `reference`, which has an ECR host, is in the registry; nothing: it has none.
std::optional<registry::RepositoryName> repository_of(const oci::Reference& reference);

}  // namespace millwright::programs
