#include "base/encoding.h"
#include "services/s3/acl.h"
#include "services/s3/documents.h"
#include "services/s3/operations.h"
#include "services/s3/public_access.h"

namespace millwright::s3 {
namespace {

ApiResult<void> check_location(const std::string& region, const std::string& constraint) {
    if (region == "us-east-1") {
        if (constraint.empty() || constraint == "us-east-1") return {};
    } else if (constraint == region) {
        return {};
    } else if (constraint.empty()) {
        return ApiError{
            400, "IllegalLocationConstraintException",
            "The unspecified location constraint is incompatible for the region specific endpoint this request was "
            "sent to."};
    }
    return ApiError{
        400, "IllegalLocationConstraintException",
        "The " + constraint +
            " location constraint is incompatible for the region specific endpoint this request was sent to."};
}

// What the bucket starts with: who owns its objects, and its access control list.
ApiResult<object_store::BucketDocuments> first_documents(const Exchange& exchange) {
    if (exchange.header("x-amz-bucket-object-lock-enabled") == "true") return not_implemented("object lock");
    object_store::BucketInfo bucket;
    bucket.account = exchange.call.caller.account;
    auto documents = exchange.settings.open_buckets ? open_documents() : object_store::BucketDocuments();
    if (const auto ownership = exchange.request.headers.find("x-amz-object-ownership")) {
        TRY(check_ownership(*ownership));
        documents[std::string(kOwnershipDocument)] = *ownership;
    }
    bucket.documents = std::make_shared<const object_store::BucketDocuments>(documents);
    const auto acl =
        TRY(acl_of_headers(exchange.request.headers, {bucket.account, bucket.account, exchange.settings.accounts}));
    if (!acl || acl->only_owner()) return documents;
    if (ownership_of(bucket) == Ownership::BucketOwnerEnforced)
        return ApiError{400, "InvalidBucketAclWithObjectOwnership",
                        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"};
    TRY(check_acl(bucket, *acl));
    documents[std::string(kAclDocument)] = format_acl(*acl);
    return documents;
}

}  // namespace

ApiResult<void> list_buckets(Exchange& exchange) {
    constexpr int kMaxBuckets = 10'000;
    const int limit = TRY(number_parameter(exchange, "max-buckets", kMaxBuckets, 1, kMaxBuckets));
    const std::string prefix = exchange.parameter("prefix").value_or("");
    const std::string region = exchange.parameter("bucket-region").value_or("");
    const auto after = from_base64(exchange.parameter("continuation-token").value_or(""));
    if (!after) return invalid_argument("The continuation token provided is incorrect", "continuation-token", "");
    const auto buckets = TRY(in_s3(exchange.store.list_buckets(exchange.call.caller.account)));

    XmlWriter xml;
    xml.open("ListAllMyBucketsResult", kXmlNamespace);
    write_owner(xml, "Owner", exchange.call.caller.account);
    xml.open("Buckets");
    int count = 0;
    std::string last;
    bool truncated = false;
    for (const auto& bucket : buckets) {
        if (!bucket.name.starts_with(prefix) || bucket.name <= *after) continue;
        if (!region.empty() && bucket.region != region) continue;
        truncated = count == limit;
        if (truncated) break;
        xml.open("Bucket").element("Name", bucket.name);
        xml.element("CreationDate", format_iso8601(bucket.created, Fraction::Milliseconds));
        xml.element("BucketRegion", bucket.region).close();
        last = bucket.name;
        ++count;
    }
    xml.close();
    if (!prefix.empty()) xml.element("Prefix", prefix);
    if (truncated) xml.element("ContinuationToken", to_base64(last));
    xml.close();
    return exchange.send_xml(xml);
}

ApiResult<void> create_bucket(Exchange& exchange) {
    const auto documents = TRY(first_documents(exchange));
    const std::string& account = exchange.call.caller.account;
    const std::string& region = exchange.call.caller.region;
    const std::string constraint = TRY(parse_location_constraint(TRY(read_document(exchange))));
    if (!object_store::is_valid_bucket_name(exchange.bucket())) {
        ApiError error(400, "InvalidBucketName", "The specified bucket is not valid.");
        error.members.set("BucketName", exchange.bucket());
        return error;
    }
    TRY(check_location(region, constraint));
    const auto created = exchange.store.create_bucket(account, region, exchange.bucket(), documents);
    if (!created && created.error().kind == ErrorKind::AlreadyExists) {
        const auto existing = TRY(in_s3(exchange.store.find_bucket(exchange.bucket())));
        ApiError error(
            409, "BucketAlreadyExists",
            "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
            "Please select a different name and try again.");
        error.members.set("BucketName", exchange.bucket());
        if (existing.account != account) return error;
        error.code = "BucketAlreadyOwnedByYou";
        error.message = "Your previous request to create the named bucket succeeded and you already own it.";
        // us-east-1 alone answers as if it had just been made.
        if (region != "us-east-1" || existing.region != region) return error;
    } else {
        TRY(in_s3(created));
    }
    return exchange.send_empty(200, {{"Location", "/" + exchange.bucket()}});
}

ApiResult<void> head_bucket(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    return exchange.send_empty(200, {{"x-amz-bucket-region", bucket.region}, {"Content-Type", "application/xml"}});
}

ApiResult<void> delete_bucket(Exchange& exchange) {
    TRY(open_bucket(exchange));
    TRY(in_s3(exchange.store.delete_bucket(exchange.bucket())));
    return exchange.send_empty(204);
}

ApiResult<void> get_bucket_location(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    XmlWriter xml;
    xml.open("LocationConstraint", kXmlNamespace);
    std::string text = bucket.region == "us-east-1" ? "" : bucket.region;
    xml.text(text).close();
    return exchange.send_xml(xml);
}

}  // namespace millwright::s3
