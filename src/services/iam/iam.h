// The IAM service: roles, users, groups, access keys and the policies of all of them (docs/reference/identity.md).
#pragma once

#include "aws/service.h"
#include "resources/identity/identity.h"

namespace millwright::services {

// `identity` must outlive the service.
aws::Service iam_service(resources::Identity& identity);

}  // namespace millwright::services
