// What each operation of SageMaker needs: its action on the resources it names, with the condition keys of SageMaker.
#pragma once

#include <string_view>

#include "aws/service.h"
#include "resources/identity/identity.h"
#include "resources/tags/tags.h"

namespace millwright::services {

// What rules look things up in; must outlive them.
struct AccessSources {
    resources::Tags& tags;
    resources::Identity& identity;
};

// Null for an operation that the table does not have.
aws::AccessRule sagemaker_access_rule(const AccessSources& sources, std::string_view operation);

}  // namespace millwright::services
