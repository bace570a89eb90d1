// Who signed an HTML form upload to S3: the signature is over the policy document in the form, not over the request.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "aws/service.h"
#include "aws/sigv4.h"
#include "base/time.h"

namespace millwright::aws {

// The value of a form field by its name in lower case, "" when it is not there.
using FormField = std::function<std::string(std::string_view name)>;

// Checks x-amz-signature (version 4) or signature (version 2) against the text of the field "policy". The caller of the
// credential has its region from the scope (version 4).
Result<Credential, AuthFailure> verify_form(const FormField& field, const CredentialSource& credentials,
                                            const Clock& clock);

}  // namespace millwright::aws
