// The encryption a bucket gives to new objects: a label, as on objects. Nothing is encrypted by this server.
#pragma once

#include <map>
#include <string>

#include "object_store/object_store.h"

namespace millwright::s3 {

// Adds the bucket's x-amz-server-side-encryption… headers unless the request brought its own.
void add_default_encryption(std::map<std::string, std::string>& headers, const object_store::BucketInfo& bucket);

}  // namespace millwright::s3
