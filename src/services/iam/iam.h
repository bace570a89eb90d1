// The IAM service: roles, their policies, users and access keys. Policies are stored and listed; this release
// does not evaluate them (docs/reference/identity.md).
#pragma once

#include "aws/service.h"
#include "resources/identity/identity.h"

namespace millwright::services {

// `identity` must outlive the service.
aws::Service iam_service(resources::Identity& identity);

}  // namespace millwright::services
