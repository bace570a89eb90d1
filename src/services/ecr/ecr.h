// Amazon ECR's API over the registry (docs/reference/ecr.md).
#pragma once

#include "aws/pipeline.h"
#include "aws/service.h"
#include "aws/token.h"
#include "registry/registry.h"
#include "resources/identity/access_control.h"
#include "resources/identity/registry_login.h"
#include "resources/tags/tags.h"

namespace millwright::services {

// All must outlive the service and the route.
struct EcrParts {
    registry::Registry& registry;
    resources::Tags& tags;
    const resources::RegistryLogin& login;
    const resources::AccessControl& access;
    const aws::PageTokens& tokens;
    const Clock& clock = system_clock();
};

aws::Service ecr_service(const EcrParts& parts);

// Below kLayerDownloads: what GetDownloadUrlForLayer hands out, a layer for everybody who has the address, for an hour.
// No repository can be called "-".
inline constexpr const char* kLayerDownloads = "/v2/-/layers/";
aws::GuestRoute ecr_layer_downloads(const EcrParts& parts);

}  // namespace millwright::services
