// The policy document of an HTML form upload: until when, and what the fields of the form may say.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "aws/api_error.h"
#include "base/time.h"

namespace millwright::s3 {

struct FormPolicy {
    struct Condition {
        bool prefix = false;  // starts-with instead of eq
        std::string field;    // in lower case
        std::string value;
    };
    Timestamp expiration;
    std::vector<Condition> conditions;
    uint64_t min_bytes = 0, max_bytes = UINT64_MAX;
};

// `document`: JSON, as it is inside the base64 of the field "policy". InvalidPolicyDocument.
aws::ApiResult<FormPolicy> parse_form_policy(std::string_view document);
// `fields`: those of the form by name in lower case, and "bucket". AccessDenied when the policy has expired, when a
// condition does not hold, and when a field is not covered by any.
aws::ApiResult<void> check_form_policy(const FormPolicy& policy, const std::map<std::string, std::string>& fields,
                                       Timestamp now);

}  // namespace millwright::s3
