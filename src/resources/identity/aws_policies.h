// The managed policies of AWS that SageMaker users attach, as documents of our own: what each allows of the services
// spoken here. docs/reference/identity.md lists them; any other is refused when it is attached.
#pragma once

#include <span>
#include <string_view>

namespace millwright::resources {

struct AwsPolicy {
    std::string_view arn, description, document;
};

std::span<const AwsPolicy> aws_policies();  // in the order of names
const AwsPolicy* find_aws_policy(std::string_view arn);

}  // namespace millwright::resources
