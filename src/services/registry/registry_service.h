// The OCI distribution API below /v2/: what docker, podman, skopeo and buildah push to and pull from. Who may do what
// is asked like everywhere else, in ECR's words (ecr:PutImage, …).
#pragma once

#include <string>

#include "aws/pipeline.h"
#include "registry/registry.h"
#include "resources/identity/identity.h"
#include "resources/identity/registry_login.h"
#include "resources/tags/tags.h"

namespace millwright::services {

// All must outlive the route.
struct RegistryParts {
    registry::Registry& registry;
    resources::RegistryLogin& login;
    resources::Tags& tags;
    // A repository that is pushed to is made if it is missing, when the caller may make it (ecr:CreateRepository).
    bool create_on_push = true;
};

aws::GuestRoute registry_route(const RegistryParts& parts);

}  // namespace millwright::services
