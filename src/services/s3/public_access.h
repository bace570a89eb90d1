// Whether the world may reach a bucket: its public access block, its policy, and what both say together with the lists.
#pragma once

#include <string>
#include <string_view>

#include "aws/api_error.h"
#include "object_store/object_store.h"

namespace millwright::s3 {

// Names of documents of a bucket.
inline constexpr std::string_view kPolicyDocument = "policy", kAclDocument = "acl",
                                  kOwnershipDocument = "ownershipControls", kBlockDocument = "publicAccessBlock",
                                  kEncryptionDocument = "encryption", kCorsDocument = "cors";
// Documents of new buckets of the old kind (S3Settings::open_buckets): lists, and nothing blocked.
object_store::BucketDocuments open_documents();

struct PublicAccess {
    bool block_public_acls = true, ignore_public_acls = true, block_public_policy = true,
         restrict_public_buckets = true;
};
// A bucket nobody asked about blocks everything, as AWS's buckets do.
PublicAccess public_access_of(const object_store::BucketInfo& bucket);
aws::ApiResult<void> check_ownership(std::string_view ownership);  // MalformedXML unless it is one of the three
bool has_public_policy(const object_store::BucketInfo& bucket);

// Everything that grants access to a bucket or an object of it, as the JSON of one policy; "" for nothing. The bucket's
// policy, and the access control lists. `resource`: "arn:aws:s3:::bucket" or "arn:aws:s3:::bucket/key". `object_acl`:
// as kept with the object, null for none. `caller_account`: "" for nobody.
std::string effective_policy(const object_store::BucketInfo& bucket, std::string_view resource,
                             const std::string* object_acl, std::string_view caller_account);

}  // namespace millwright::s3
