#include <array>

#include "aws/sigv4.h"

namespace millwright::aws {
namespace {

struct Look {
    int status;
    std::string_view code;
    std::string_view text;  // "" takes the failure's own
};

constexpr std::string_view kMismatch =
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and "
    "signing method. Consult the service documentation for details.";
constexpr std::string_view kS3Mismatch =
    "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
constexpr std::string_view kInvalidToken = "The security token included in the request is invalid.";
constexpr std::string_view kExpiredToken = "The security token included in the request is expired";
constexpr std::string_view kHashForm =
    "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, or a valid sha256 value.";

struct Row {
    AuthFailureKind kind;
    Look json, query, s3;
};

// What AWS's services answer, by protocol.
constexpr std::array kRows = {
    Row{AuthFailureKind::Anonymous,
        {400, "MissingAuthenticationTokenException", "Missing Authentication Token"},
        {403, "MissingAuthenticationToken", "Request is missing Authentication Token"},
        {403, "AccessDenied", "Access Denied"}},
    Row{AuthFailureKind::Malformed,
        {400, "IncompleteSignatureException", ""},
        {400, "IncompleteSignature", ""},
        {400, "AuthorizationHeaderMalformed", ""}},
    Row{AuthFailureKind::UnknownKey,
        {400, "UnrecognizedClientException", kInvalidToken},
        {403, "InvalidClientTokenId", kInvalidToken},
        {403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."}},
    Row{AuthFailureKind::BadSignature,
        {400, "InvalidSignatureException", kMismatch},
        {403, "SignatureDoesNotMatch", kMismatch},
        {403, "SignatureDoesNotMatch", kS3Mismatch}},
    Row{AuthFailureKind::Skewed,
        {400, "InvalidSignatureException", ""},
        {403, "SignatureDoesNotMatch", ""},
        {403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."}},
    Row{AuthFailureKind::UrlExpired,
        {400, "InvalidSignatureException", ""},
        {403, "SignatureDoesNotMatch", ""},
        {403, "AccessDenied", "Request has expired"}},
    Row{AuthFailureKind::BadToken,
        {400, "UnrecognizedClientException", kInvalidToken},
        {403, "InvalidClientTokenId", kInvalidToken},
        {400, "InvalidToken", "The provided token is malformed or otherwise invalid."}},
    Row{AuthFailureKind::ExpiredToken,
        {400, "ExpiredTokenException", kExpiredToken},
        {403, "ExpiredToken", kExpiredToken},
        {400, "ExpiredToken", "The provided token has expired."}},
    Row{AuthFailureKind::UnsignedHeader,
        {400, "InvalidSignatureException", ""},
        {403, "SignatureDoesNotMatch", ""},
        {403, "AccessDenied", "There were headers present in the request which were not signed"}},
    Row{AuthFailureKind::BadScope,
        {400, "InvalidSignatureException", ""},
        {403, "SignatureDoesNotMatch", ""},
        {400, "AuthorizationHeaderMalformed", ""}},
    Row{AuthFailureKind::MissingPayloadHash,
        {400, "InvalidSignatureException", kHashForm},
        {403, "SignatureDoesNotMatch", kHashForm},
        {400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256"}},
    Row{AuthFailureKind::BadPayloadHash,
        {400, "InvalidSignatureException", kHashForm},
        {403, "SignatureDoesNotMatch", kHashForm},
        {400, "InvalidArgument", kHashForm}},
};

}  // namespace

ApiError auth_error(const AuthFailure& failure, ErrorStyle style) {
    for (const Row& row : kRows) {
        if (row.kind != failure.kind) continue;
        const Look& look = style == ErrorStyle::Json ? row.json : style == ErrorStyle::Query ? row.query : row.s3;
        ApiError error{look.status, std::string(look.code), look.text.empty() ? failure.text : std::string(look.text)};
        error.detail = failure.detail;
        return error;
    }
    return {403, "AccessDenied", "Access Denied"};
}

}  // namespace millwright::aws
