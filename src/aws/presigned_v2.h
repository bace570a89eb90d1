// S3 URLs signed the old way, AWSAccessKeyId=…&Signature=…&Expires=…: what boto3's generate_presigned_url makes unless
// it is told to use s3v4. Only the query form is spoken; the Authorization header of that age is refused.
//
//   text      = method LF content-md5 LF content-type LF expires LF *(x-amz-header ":" value LF) resource
//   resource  = "/" bucket "/" key as sent, with the sub-resources of the query sorted
//   signature = base64(HMAC-SHA1(secret, text))
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "net/http.h"

namespace millwright::aws::presigned_v2 {

struct Claim {
    std::string access_key_id, signature, expires, session_token;
};

// Nothing when the URL is not signed this way.
std::optional<Claim> parse(const net::Request& request);
// `bucket`: of the host name, "" for path style.
std::string signature(const net::Request& request, const Claim& claim, std::string_view bucket,
                      std::string_view secret);
std::string hmac_sha1(std::string_view key, std::string_view text);

}  // namespace millwright::aws::presigned_v2
