// Access control lists: who besides its owner may read or write a bucket or an object. They are what AWS had before
// policies; a bucket has them only when its object ownership is not BucketOwnerEnforced, which new buckets have.
//
// A bucket keeps its list as the document "acl", an object as its header "x-amz-acl", both as format_acl() writes them.
// Nothing kept means: the owner may do everything.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aws/api_error.h"
#include "base/json.h"
#include "base/xml.h"
#include "net/http.h"
#include "object_store/object_store.h"

namespace millwright::s3 {

enum class Ownership { BucketOwnerEnforced, BucketOwnerPreferred, ObjectWriter };
Ownership ownership_of(const object_store::BucketInfo& bucket);

// Whom a grant can name beside accounts.
inline constexpr std::string_view kEveryone = "AllUsers", kAnyAccount = "AuthenticatedUsers", kLogs = "LogDelivery";
struct Grant {
    std::string grantee;     // 12 digits, or one of the above
    std::string permission;  // FULL_CONTROL, READ, WRITE, READ_ACP, WRITE_ACP
    friend bool operator==(const Grant&, const Grant&) = default;
};
struct Acl {
    std::string owner;  // 12 digits
    std::vector<Grant> grants;
    bool is_public() const;
    bool only_owner() const;  // what nothing kept means
};

Acl private_acl(const std::string& owner);
std::string format_acl(const Acl& acl);
// Of what format_acl() wrote; the private list of `owner` for null.
Acl stored_acl(const std::string* text, const std::string& owner);

struct AclContext {
    std::string owner, bucket_owner;                     // accounts
    std::function<std::vector<std::string>()> accounts;  // that can be named
};
// What the headers ask for (x-amz-acl, x-amz-grant-*); nothing without any. InvalidArgument, InvalidRequest, …
aws::ApiResult<std::optional<Acl>> acl_of_headers(const net::Headers& headers, const AclContext& context);
aws::ApiResult<std::optional<Acl>> canned_acl(std::string_view name, const AclContext& context);
// <AccessControlPolicy>. MalformedACLError, InvalidArgument, UnresolvableGrantByEmailAddress.
aws::ApiResult<Acl> parse_acl(std::string_view text, const AclContext& context);
void write_acl(XmlWriter& xml, const Acl& acl);

// The list as statements of a resource policy for `resource`: a bucket ("arn:aws:s3:::name") or an object of it.
enum class AclOf { Bucket, Object };
void add_statements(Json& statements, const Acl& acl, AclOf of, std::string_view resource);

// The list a new object gets, as the value of its header; nothing when it needs none. AccessControlListNotSupported
// when the bucket has no lists, AccessDenied when it blocks public ones.
aws::ApiResult<std::optional<std::string>> acl_of_new_object(const object_store::BucketInfo& bucket,
                                                             const net::Headers& headers, const AclContext& context);
// Refuses a list the bucket does not take.
aws::ApiResult<void> check_acl(const object_store::BucketInfo& bucket, const Acl& acl);

}  // namespace millwright::s3
