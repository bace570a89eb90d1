#include "aws/form_signature.h"

#include "aws/presigned_v2.h"
#include "aws/sigv4_canonical.h"
#include "base/digest.h"
#include "base/encoding.h"
#include "base/strings.h"

namespace millwright::aws {
namespace {

Result<Credential, AuthFailure> find(const FormField& field, std::string_view access_key_id,
                                     const CredentialSource& credentials, const Clock& clock) {
    auto credential = credentials.find_credential(access_key_id);
    if (!credential) return AuthFailure{AuthFailureKind::UnknownKey, "", ""};
    if (!credential->session_token.empty() &&
        !constant_time_equal(field("x-amz-security-token"), credential->session_token))
        return AuthFailure{AuthFailureKind::BadToken, "", ""};
    if (credential->expires && clock.now() >= *credential->expires)
        return AuthFailure{AuthFailureKind::ExpiredToken, "", ""};
    credential->caller.access_key_id = access_key_id;
    return std::move(*credential);
}

Result<Credential, AuthFailure> verify_v4(const FormField& field, const CredentialSource& credentials,
                                          const Clock& clock) {
    const std::string text = field("x-amz-credential");
    const auto scope = split(text, '/');
    const std::string date = field("x-amz-date");
    if (field("x-amz-algorithm") != sigv4::kAlgorithm || scope.size() != 5 || scope[3] != "s3" ||
        scope[4] != "aws4_request" || !parse_amz_date(date) || !std::string_view(date).starts_with(scope[1]))
        return AuthFailure{AuthFailureKind::Malformed,
                           "The form's X-Amz-Credential, X-Amz-Algorithm or X-Amz-Date is "
                           "malformed."};
    auto credential = find(field, scope[0], credentials, clock);
    if (!credential) return credential;
    const std::string key = sigv4::derive_key(credential->secret_access_key, scope[1], scope[2], "s3");
    if (!constant_time_equal(to_hex(hmac_sha256(key, field("policy"))), field("x-amz-signature")))
        return AuthFailure{AuthFailureKind::BadSignature, "", ""};
    credential->caller.region = scope[2];
    return credential;
}

}  // namespace

Result<Credential, AuthFailure> verify_form(const FormField& field, const CredentialSource& credentials,
                                            const Clock& clock) {
    if (!field("x-amz-signature").empty()) return verify_v4(field, credentials, clock);
    auto credential = find(field, field("awsaccesskeyid"), credentials, clock);
    if (!credential) return credential;
    if (!constant_time_equal(to_base64(presigned_v2::hmac_sha1(credential->secret_access_key, field("policy"))),
                             field("signature")))
        return AuthFailure{AuthFailureKind::BadSignature, "", ""};
    return credential;
}

}  // namespace millwright::aws
