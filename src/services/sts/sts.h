// The STS service: who am I, and temporary credentials.
#pragma once

#include "aws/service.h"
#include "resources/identity/identity.h"

namespace millwright::services {

// `identity` must outlive the service.
aws::Service sts_service(resources::Identity& identity);

}  // namespace millwright::services
