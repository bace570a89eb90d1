#include "services/s3/acl.h"
#include "services/s3/new_object.h"
#include "services/s3/operations.h"
#include "services/s3/public_access.h"

namespace millwright::s3 {
namespace {

AclContext context_of(const Exchange& exchange, const std::string& owner, const std::string& bucket_owner) {
    return {owner, bucket_owner, exchange.settings.accounts};
}

std::string version_of(const Exchange& exchange) { return exchange.parameter("versionId").value_or(""); }

ApiResult<Acl> asked_acl(const Exchange& exchange, const AclContext& context) {
    const std::string text = TRY(read_document(exchange));
    const auto in_headers = TRY(acl_of_headers(exchange.request.headers, context));
    if (in_headers && !text.empty()) return ApiError{400, "UnexpectedContent", "This request does not support content"};
    if (in_headers) return *in_headers;
    if (text.empty()) return ApiError{400, "MissingSecurityHeader", "Your request was missing a required header"};
    return parse_acl(text, context);
}

// What the owner of a bucket without lists may say all the same: s3cmd gives a copy the list of its source.
bool changes_nothing(const Exchange& exchange, const object_store::BucketInfo& bucket, const Acl& acl) {
    return ownership_of(bucket) == Ownership::BucketOwnerEnforced && acl.only_owner() && acl.owner == bucket.account &&
           exchange.call.caller.account == bucket.account;
}

}  // namespace

ApiResult<void> get_acl(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    XmlWriter xml;
    if (exchange.key().empty()) {
        write_acl(xml, stored_acl(bucket.document(kAclDocument), bucket.account));
        return exchange.send_xml(xml);
    }
    const auto object = TRY(in_s3(exchange.store.head(exchange.bucket(), exchange.key(), version_of(exchange))));
    const bool lists = ownership_of(bucket) != Ownership::BucketOwnerEnforced;
    write_acl(xml, stored_acl(lists ? kept_acl(object.headers) : nullptr, bucket.account));
    return exchange.send_xml(xml);
}

ApiResult<void> put_acl(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    if (exchange.key().empty()) {
        const Acl acl = TRY(asked_acl(exchange, context_of(exchange, bucket.account, bucket.account)));
        if (changes_nothing(exchange, bucket, acl)) return exchange.send_empty(200);
        TRY(check_acl(bucket, acl));
        const auto text = acl.only_owner() ? std::nullopt : std::optional(format_acl(acl));
        TRY(in_s3(exchange.store.set_document(exchange.bucket(), kAclDocument, text)));
        return exchange.send_empty(200);
    }
    const auto object = TRY(in_s3(exchange.store.head(exchange.bucket(), exchange.key(), version_of(exchange))));
    const std::string owner = stored_acl(kept_acl(object.headers), bucket.account).owner;
    const Acl acl = TRY(asked_acl(exchange, context_of(exchange, owner, bucket.account)));
    if (changes_nothing(exchange, bucket, acl)) return exchange.send_empty(200);
    TRY(check_acl(bucket, acl));
    const bool plain = acl.only_owner() && acl.owner == bucket.account;
    TRY(in_s3(exchange.store.set_header(exchange.bucket(), exchange.key(), version_of(exchange),
                                        std::string(kAclHeader),
                                        plain ? std::nullopt : std::optional(format_acl(acl)))));
    return exchange.send_empty(200);
}

}  // namespace millwright::s3
