// The XML bodies of S3 requests.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aws/api_error.h"
#include "object_store/object_store.h"

namespace millwright::s3 {

// <CompleteMultipartUpload>; an empty body is an empty list. MalformedXML.
aws::ApiResult<std::vector<object_store::CompletedPart>> parse_completed_parts(std::string_view text);

struct DeleteDocument {
    struct Object {
        std::string key, version;
        std::optional<std::string> etag = {};
        std::optional<Timestamp> modified = {};
        std::optional<uint64_t> size = {};
    };
    std::vector<Object> objects;  // 1 to 1000
    bool quiet = false;
};
// <Delete>. MalformedXML.
aws::ApiResult<DeleteDocument> parse_delete(std::string_view text);

// The LocationConstraint of <CreateBucketConfiguration>, "" when there is none. NotImplemented for directory buckets,
// tags.
aws::ApiResult<std::string> parse_location_constraint(std::string_view text);

}  // namespace millwright::s3
