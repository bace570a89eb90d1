// Failures as S3 names them.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "aws/api_error.h"
#include "base/result.h"

namespace millwright::s3 {

// What a failure of the object store is in S3.
aws::ApiError s3_error(const Error& failure);

// The value, or the failure as S3 names it: TRY(in_s3(store.head(bucket, key))).
template <typename T>
aws::ApiResult<T> in_s3(Result<T> result) {
    if (!result) return s3_error(result.error());
    return std::move(*result);
}
inline aws::ApiResult<void> in_s3(Result<void> result) {
    if (!result) return s3_error(result.error());
    return {};
}

// An answer that could not be sent: the client is gone, and nobody is left to tell.
inline aws::ApiResult<void> sent(const Result<void>&) { return {}; }

// Prefix of Error::detail for failures of the request's body.
inline constexpr std::string_view kBody = "body: ";

inline aws::ApiError invalid_request(std::string text) { return {400, "InvalidRequest", std::move(text)}; }
inline aws::ApiError access_denied() { return {403, "AccessDenied", "Access Denied"}; }
inline aws::ApiError malformed_xml() {
    return {400, "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema"};
}
inline aws::ApiError invalid_uri() { return {400, "InvalidURI", "Couldn't parse the specified URI."}; }
inline aws::ApiError precondition_failed(std::string_view condition) {
    aws::ApiError error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold");
    error.members.set("Condition", condition);
    return error;
}
// Names what Millwright does not do.
inline aws::ApiError not_implemented(std::string_view what) {
    return {501, "NotImplemented", "Millwright does not support " + std::string(what) + " yet."};
}
inline aws::ApiError invalid_argument(std::string text, std::string_view name, std::string_view value) {
    aws::ApiError error(400, "InvalidArgument", std::move(text));
    error.members.set("ArgumentName", name);
    error.members.set("ArgumentValue", value);
    return error;
}

}  // namespace millwright::s3
