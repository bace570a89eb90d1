// What a bucket says about every object written into it.
#pragma once

#include <map>
#include <string>

#include "services/s3/exchange.h"

namespace millwright::s3 {

// Adds to the headers kept with a new object its access control list, when it has one of its own, and the bucket's
// encryption label. AccessControlListNotSupported, AccessDenied.
ApiResult<void> add_bucket_defaults(const Exchange& exchange, const object_store::BucketInfo& bucket,
                                    std::map<std::string, std::string>& headers);

inline constexpr std::string_view kAclHeader = "x-amz-acl";
// Of the headers kept with an object or an upload; null for none.
const std::string* kept_acl(const std::map<std::string, std::string>& headers);

}  // namespace millwright::s3
