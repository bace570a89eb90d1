// What requests for objects share in buckets with versions.
#pragma once

#include "services/s3/exchange.h"

namespace millwright::s3 {

// The versionId of the request; "" for none.
std::string version_of(const Exchange& exchange);
// The failure of reading the object of the request, with the headers that tell of a delete marker. NoSuchKey,
// NoSuchVersion, MethodNotAllowed for a delete marker that is asked for by its id.
ApiError object_error(const Exchange& exchange, const Error& failure);
// The object or version of the request.
ApiResult<object_store::ObjectInfo> head_object(const Exchange& exchange);

// x-amz-version-id of an object read, tagged or removed: also "null". Nothing where there are no versions.
void add_version_header(net::Headers& headers, const std::string& version);
// Of an object just written: x-amz-version-id unless it is "null", and x-amz-expiration.
void add_written_headers(net::Headers& headers, const object_store::BucketInfo& bucket,
                         const object_store::ObjectInfo& object);

}  // namespace millwright::s3
