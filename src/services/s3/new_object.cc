#include "services/s3/new_object.h"

#include "services/s3/acl.h"
#include "services/s3/bucket_encryption.h"

namespace millwright::s3 {

ApiResult<void> add_bucket_defaults(const Exchange& exchange, const object_store::BucketInfo& bucket,
                                    std::map<std::string, std::string>& headers) {
    add_default_encryption(headers, bucket);
    const std::string& caller = exchange.call.caller.account;
    const AclContext context{caller.empty() ? bucket.account : caller, bucket.account, exchange.settings.accounts};
    const auto acl = TRY(acl_of_new_object(bucket, exchange.request.headers, context));
    if (acl) headers[std::string(kAclHeader)] = *acl;
    return {};
}

const std::string* kept_acl(const std::map<std::string, std::string>& headers) {
    const auto found = headers.find(std::string(kAclHeader));
    return found == headers.end() ? nullptr : &found->second;
}

}  // namespace millwright::s3
