// What each operation of S3 needs, and the question to the gate: the caller's policies, the bucket's policy and the
// lists of bucket and object together.
#pragma once

#include <string>
#include <string_view>

#include "services/s3/exchange.h"

namespace millwright::s3 {

// Whether the table names the operation; s3_service() refuses to be made with one that it does not.
bool has_access_row(std::string_view operation);

// Before the handler of the operation: AccessDenied unless the caller has every permission it needs. Multi-object
// deletion asks for each key itself, copies for their source, forms once their sender is known.
ApiResult<void> authorize(const Exchange& exchange, std::string_view operation);

// One permission on an object (or, with an empty key, on a bucket) that is found out while a handler runs.
struct ObjectAccess {
    std::string_view action;  // "s3:GetObject"; for a version the action of versions is taken
    std::string bucket, key, version = {};
};
ApiResult<void> require_object(const Exchange& exchange, const ObjectAccess& wanted);

// A missing key is told only to who may list the bucket; others cannot tell it from one they may not read.
ApiError hide_missing_key(const Exchange& exchange, ApiError error);

}  // namespace millwright::s3
