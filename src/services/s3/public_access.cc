#include "services/s3/public_access.h"

#include "base/strings.h"
#include "resources/identity/policy.h"
#include "services/s3/acl.h"
#include "services/s3/operations.h"

namespace millwright::s3 {
namespace {

constexpr std::string_view kNone = "none";  // taken away, which differs from never given

struct Flag {
    std::string_view name;
    bool PublicAccess::*value;
};
constexpr Flag kFlags[] = {{"BlockPublicAcls", &PublicAccess::block_public_acls},
                           {"IgnorePublicAcls", &PublicAccess::ignore_public_acls},
                           {"BlockPublicPolicy", &PublicAccess::block_public_policy},
                           {"RestrictPublicBuckets", &PublicAccess::restrict_public_buckets}};

// "1011" in the order of kFlags.
std::string format_flags(const PublicAccess& access) {
    std::string text;
    for (const auto& flag : kFlags) text += access.*flag.value ? '1' : '0';
    return text;
}

ApiResult<PublicAccess> parse_block(std::string_view text) {
    const auto root = parse_xml(text);
    if (!root || root->name != "PublicAccessBlockConfiguration") return malformed_xml();
    PublicAccess access{false, false, false, false};
    for (const auto& child : root->children) {
        const std::string value = to_lower(trim(child.text));
        bool known = false;
        for (const auto& flag : kFlags) {
            if (child.name != flag.name) continue;
            access.*flag.value = value == "true";
            known = true;
        }
        if (!known || (value != "true" && value != "false")) return malformed_xml();
    }
    return access;
}

ApiError missing(const Exchange& exchange, std::string_view code, std::string_view text) {
    ApiError error(404, std::string(code), std::string(text));
    error.members.set("BucketName", exchange.bucket());
    return error;
}

}  // namespace

object_store::BucketDocuments open_documents() {
    return {{std::string(kOwnershipDocument), std::string(kNone)}, {std::string(kBlockDocument), std::string(kNone)}};
}

PublicAccess public_access_of(const object_store::BucketInfo& bucket) {
    const std::string* text = bucket.document(kBlockDocument);
    PublicAccess access;
    if (!text) return access;
    for (size_t i = 0; i < std::size(kFlags); ++i) access.*kFlags[i].value = i < text->size() && (*text)[i] == '1';
    return access;
}

bool has_public_policy(const object_store::BucketInfo& bucket) {
    const std::string* text = bucket.document(kPolicyDocument);
    if (!text) return false;
    const auto policy = resources::parse_policy(*text, resources::PolicyKind::Bucket);
    return policy && resources::is_public(**policy);
}

std::string effective_policy(const object_store::BucketInfo& bucket, std::string_view resource,
                             const std::string* object_acl, std::string_view caller_account) {
    const PublicAccess access = public_access_of(bucket);
    const std::string* policy = bucket.document(kPolicyDocument);
    // RestrictPublicBuckets: a policy for everybody is one for the own account only.
    if (policy && access.restrict_public_buckets && caller_account != bucket.account && has_public_policy(bucket))
        policy = nullptr;
    const std::string* bucket_acl = bucket.document(kAclDocument);
    if (ownership_of(bucket) == Ownership::BucketOwnerEnforced) bucket_acl = object_acl = nullptr;
    if (!bucket_acl && !object_acl) return policy ? *policy : "";

    Json statements = Json::array();
    const auto add = [&](const std::string* text, AclOf of, std::string_view arn) {
        if (!text) return;
        const Acl acl = stored_acl(text, bucket.account);
        if (!acl.is_public() || !access.ignore_public_acls) add_statements(statements, acl, of, arn);
    };
    add(bucket_acl, AclOf::Bucket, "arn:aws:s3:::" + bucket.name);
    add(object_acl, AclOf::Object, resource);
    if (policy) {
        const auto document = Json::parse(*policy);
        if (document && (*document)["Statement"].is_object()) statements.push_back((*document)["Statement"]);
        if (document)
            for (const auto& statement : (*document)["Statement"].items()) statements.push_back(statement);
    }
    if (statements.size() == 0) return "";
    return Json::object({{"Version", "2012-10-17"}, {"Statement", std::move(statements)}}).dump();
}

ApiResult<void> get_public_access_block(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    const std::string* text = bucket.document(kBlockDocument);
    if (text && *text == kNone)
        return missing(exchange, "NoSuchPublicAccessBlockConfiguration",
                       "The public access block configuration was not found");
    const PublicAccess access = public_access_of(bucket);
    XmlWriter xml;
    xml.open("PublicAccessBlockConfiguration", kXmlNamespace);
    for (const auto& flag : kFlags) xml.element(flag.name, access.*flag.value ? "true" : "false");
    xml.close();
    return exchange.send_xml(xml);
}

ApiResult<void> put_public_access_block(Exchange& exchange) {
    TRY(open_bucket(exchange));
    const std::string text = TRY(read_document(exchange));
    const PublicAccess access = TRY(parse_block(text));
    TRY(in_s3(exchange.store.set_document(exchange.bucket(), kBlockDocument, format_flags(access))));
    return exchange.send_empty(200);
}

ApiResult<void> delete_public_access_block(Exchange& exchange) {
    TRY(open_bucket(exchange));
    TRY(in_s3(exchange.store.set_document(exchange.bucket(), kBlockDocument, std::string(kNone))));
    return exchange.send_empty(204);
}

ApiResult<void> get_bucket_ownership_controls(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    const std::string* text = bucket.document(kOwnershipDocument);
    if (text && *text == kNone)
        return missing(exchange, "OwnershipControlsNotFoundError", "The bucket ownership controls were not found");
    XmlWriter xml;
    xml.open("OwnershipControls", kXmlNamespace).open("Rule");
    xml.element("ObjectOwnership", text ? *text : "BucketOwnerEnforced").close().close();
    return exchange.send_xml(xml);
}

ApiResult<void> check_ownership(std::string_view ownership) {
    if (ownership == "BucketOwnerEnforced" || ownership == "BucketOwnerPreferred" || ownership == "ObjectWriter")
        return {};
    return malformed_xml();
}

ApiResult<void> put_bucket_ownership_controls(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    const std::string text = TRY(read_document(exchange));
    const auto root = parse_xml(text);
    if (!root || root->name != "OwnershipControls" || root->children.size() != 1) return malformed_xml();
    const std::string ownership(trim(root->children.front().text_of("ObjectOwnership")));
    TRY(check_ownership(ownership));
    if (ownership == "BucketOwnerEnforced" && !stored_acl(bucket.document(kAclDocument), bucket.account).only_owner())
        return ApiError{400, "InvalidBucketAclWithObjectOwnership",
                        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"};
    TRY(in_s3(exchange.store.set_document(exchange.bucket(), kOwnershipDocument, ownership)));
    return exchange.send_empty(200);
}

ApiResult<void> delete_bucket_ownership_controls(Exchange& exchange) {
    TRY(open_bucket(exchange));
    TRY(in_s3(exchange.store.set_document(exchange.bucket(), kOwnershipDocument, std::string(kNone))));
    return exchange.send_empty(204);
}

ApiResult<void> get_bucket_policy(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    const std::string* text = bucket.document(kPolicyDocument);
    if (!text) return missing(exchange, "NoSuchBucketPolicy", "The bucket policy does not exist");
    return sent(exchange.response.send(200, {{"Content-Type", "application/json"}}, *text));
}

ApiResult<void> get_bucket_policy_status(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    const bool open_list = stored_acl(bucket.document(kAclDocument), bucket.account).is_public();
    XmlWriter xml;
    xml.open("PolicyStatus", kXmlNamespace);
    xml.element("IsPublic", open_list || has_public_policy(bucket) ? "true" : "false").close();
    return exchange.send_xml(xml);
}

ApiResult<void> put_bucket_policy(Exchange& exchange) {
    constexpr size_t kMaxPolicyBytes = size_t{20} << 10;
    const auto bucket = TRY(open_bucket(exchange));
    const std::string text = TRY(read_document(exchange));
    if (text.size() > kMaxPolicyBytes)
        return ApiError{400, "PolicyTooLarge", "Policy exceeds the maximum allowed document size."};
    const auto policy = resources::parse_bucket_policy(text, exchange.bucket());
    if (!policy) return ApiError{400, "MalformedPolicy", policy.error().message};
    for (const auto& statement : (*policy)->statements)
        if (statement.allow && statement.principals.negated)
            return ApiError{400, "MalformedPolicy", "Allow with NotPrincipal is not allowed."};
    if (public_access_of(bucket).block_public_policy && resources::is_public(**policy)) return access_denied();
    TRY(in_s3(exchange.store.set_document(exchange.bucket(), kPolicyDocument, text)));
    return exchange.send_empty(204);
}

ApiResult<void> delete_bucket_policy(Exchange& exchange) {
    TRY(open_bucket(exchange));
    TRY(in_s3(exchange.store.set_document(exchange.bucket(), kPolicyDocument, std::nullopt)));
    return exchange.send_empty(204);
}

}  // namespace millwright::s3
