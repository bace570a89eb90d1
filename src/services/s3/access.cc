#include "services/s3/access.h"

#include <algorithm>

#include "base/strings.h"
#include "services/s3/acl.h"
#include "services/s3/public_access.h"

namespace millwright::s3 {
namespace {

using aws::Access;

enum class On { Service, Bucket, Object, Keys };  // Keys: each key of the request's document, asked by the handler

struct Row {
    std::string_view operation, action;
    On on;
};

constexpr Row kRows[] = {
    {"ListBuckets", "s3:ListAllMyBuckets", On::Service},

    {"CreateBucket", "s3:CreateBucket", On::Bucket},
    {"DeleteBucket", "s3:DeleteBucket", On::Bucket},
    {"HeadBucket", "s3:ListBucket", On::Bucket},
    {"ListObjects", "s3:ListBucket", On::Bucket},
    {"ListObjectsV2", "s3:ListBucket", On::Bucket},
    {"ListObjectVersions", "s3:ListBucketVersions", On::Bucket},
    {"ListMultipartUploads", "s3:ListBucketMultipartUploads", On::Bucket},
    {"GetBucketLocation", "s3:GetBucketLocation", On::Bucket},
    {"GetBucketAcl", "s3:GetBucketAcl", On::Bucket},
    {"PutBucketAcl", "s3:PutBucketAcl", On::Bucket},
    {"GetBucketVersioning", "s3:GetBucketVersioning", On::Bucket},
    {"PutBucketVersioning", "s3:PutBucketVersioning", On::Bucket},
    {"GetBucketLogging", "s3:GetBucketLogging", On::Bucket},
    {"GetBucketNotificationConfiguration", "s3:GetBucketNotification", On::Bucket},
    {"GetBucketAccelerateConfiguration", "s3:GetAccelerateConfiguration", On::Bucket},
    {"GetBucketRequestPayment", "s3:GetBucketRequestPayment", On::Bucket},
    {"GetBucketPolicy", "s3:GetBucketPolicy", On::Bucket},
    {"PutBucketPolicy", "s3:PutBucketPolicy", On::Bucket},
    {"DeleteBucketPolicy", "s3:DeleteBucketPolicy", On::Bucket},
    {"GetBucketPolicyStatus", "s3:GetBucketPolicyStatus", On::Bucket},
    {"GetBucketTagging", "s3:GetBucketTagging", On::Bucket},
    {"PutBucketTagging", "s3:PutBucketTagging", On::Bucket},
    {"DeleteBucketTagging", "s3:PutBucketTagging", On::Bucket},
    {"GetBucketCors", "s3:GetBucketCORS", On::Bucket},
    {"PutBucketCors", "s3:PutBucketCORS", On::Bucket},
    {"DeleteBucketCors", "s3:PutBucketCORS", On::Bucket},
    {"GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration", On::Bucket},
    {"PutBucketLifecycleConfiguration", "s3:PutLifecycleConfiguration", On::Bucket},
    {"DeleteBucketLifecycle", "s3:PutLifecycleConfiguration", On::Bucket},
    {"GetBucketEncryption", "s3:GetEncryptionConfiguration", On::Bucket},
    {"PutBucketEncryption", "s3:PutEncryptionConfiguration", On::Bucket},
    {"DeleteBucketEncryption", "s3:PutEncryptionConfiguration", On::Bucket},
    {"GetBucketWebsite", "s3:GetBucketWebsite", On::Bucket},
    {"GetBucketReplication", "s3:GetReplicationConfiguration", On::Bucket},
    {"GetObjectLockConfiguration", "s3:GetBucketObjectLockConfiguration", On::Bucket},
    {"GetPublicAccessBlock", "s3:GetBucketPublicAccessBlock", On::Bucket},
    {"PutPublicAccessBlock", "s3:PutBucketPublicAccessBlock", On::Bucket},
    {"DeletePublicAccessBlock", "s3:PutBucketPublicAccessBlock", On::Bucket},
    {"GetBucketOwnershipControls", "s3:GetBucketOwnershipControls", On::Bucket},
    {"PutBucketOwnershipControls", "s3:PutBucketOwnershipControls", On::Bucket},
    {"DeleteBucketOwnershipControls", "s3:PutBucketOwnershipControls", On::Bucket},
    {"DeleteObjects", "s3:DeleteObject", On::Keys},

    {"GetObject", "s3:GetObject", On::Object},
    {"HeadObject", "s3:GetObject", On::Object},
    {"GetObjectAttributes", "s3:GetObject", On::Object},
    {"GetObjectAcl", "s3:GetObjectAcl", On::Object},
    {"PutObjectAcl", "s3:PutObjectAcl", On::Object},
    {"GetObjectTagging", "s3:GetObjectTagging", On::Object},
    {"PutObjectTagging", "s3:PutObjectTagging", On::Object},
    {"DeleteObjectTagging", "s3:DeleteObjectTagging", On::Object},
    {"PutObject", "s3:PutObject", On::Object},
    {"CopyObject", "s3:PutObject", On::Object},
    {"DeleteObject", "s3:DeleteObject", On::Object},
    {"CreateMultipartUpload", "s3:PutObject", On::Object},
    {"UploadPart", "s3:PutObject", On::Object},
    {"UploadPartCopy", "s3:PutObject", On::Object},
    {"CompleteMultipartUpload", "s3:PutObject", On::Object},
    {"AbortMultipartUpload", "s3:AbortMultipartUpload", On::Object},
    {"ListParts", "s3:ListMultipartUploadParts", On::Object},
};

const Row* find_row(std::string_view operation) {
    const auto* row = std::find_if(std::begin(kRows), std::end(kRows),
                                   [&](const Row& known) { return known.operation == operation; });
    return row == std::end(kRows) ? nullptr : row;
}

// "s3:GetObjectTagging" -> "s3:GetObjectVersionTagging".
std::string action_of(std::string_view action, bool version) {
    std::string out(action);
    constexpr std::string_view kObject = "Object";
    const size_t at = out.find(kObject);
    if (version && at != std::string::npos && action != "s3:PutObject") out.insert(at + kObject.size(), "Version");
    return out;
}

// Condition keys that stand in the query or in a header.
void add_request_keys(const Exchange& exchange, Access& access) {
    static constexpr std::pair<std::string_view, std::string_view> kParameters[] = {
        {"prefix", "s3:prefix"},
        {"delimiter", "s3:delimiter"},
        {"max-keys", "s3:max-keys"},
        {"versionId", "s3:versionid"},
    };
    static constexpr std::string_view kHeaders[] = {
        "x-amz-acl",
        "x-amz-content-sha256",
        "x-amz-copy-source",
        "x-amz-grant-full-control",
        "x-amz-grant-read",
        "x-amz-grant-read-acp",
        "x-amz-grant-write",
        "x-amz-grant-write-acp",
        "x-amz-metadata-directive",
        "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-server-side-encryption-customer-algorithm",
        "x-amz-storage-class",
        "x-amz-website-redirect-location",
    };
    for (const auto& [parameter, key] : kParameters)
        if (const auto value = exchange.parameter(parameter)) access.context.emplace_back(key, aws::Strings{*value});
    // Listing without a prefix is listing everything, which is the empty prefix.
    if (access.action.starts_with("s3:ListBucket") && !exchange.parameter("prefix"))
        access.context.emplace_back("s3:prefix", aws::Strings{""});
    for (const std::string_view header : kHeaders)
        if (const auto value = exchange.request.headers.find(header))
            access.context.emplace_back("s3:" + std::string(header), aws::Strings{std::string(*value)});
    for (const std::string_view header : {"If-Match", "If-None-Match"})
        if (const auto value = exchange.request.headers.find(header))
            access.context.emplace_back("s3:" + to_lower(header), aws::Strings{std::string(*value)});
    if (exchange.call.caller.anonymous()) return;
    const bool in_query = exchange.parameter("X-Amz-Signature") || exchange.parameter("Signature");
    const bool old = exchange.parameter("Signature").has_value();
    access.context.emplace_back("s3:authtype", aws::Strings{in_query ? "REST-QUERY-STRING" : "REST-HEADER"});
    access.context.emplace_back("s3:signatureversion", aws::Strings{old ? "AWS" : "AWS4-HMAC-SHA256"});
}

// Tags that a request gives to its object.
void add_request_tags(const Exchange& exchange, Access& access) {
    const auto header = exchange.request.headers.find("x-amz-tagging");
    if (!header) return;
    aws::Strings keys;
    for (auto& [key, value] : net::parse_query(*header)) {
        access.context.emplace_back("s3:requestobjecttag/" + to_lower(key), aws::Strings{value});
        keys.push_back(std::move(key));
    }
    access.context.emplace_back("s3:requestobjecttagkeys", std::move(keys));
}

// s3:ExistingObjectTag/…: read only when a policy asks.
std::function<aws::Strings(std::string_view)> existing_tags(const Exchange& exchange, const ObjectAccess& wanted) {
    if (wanted.key.empty()) return nullptr;
    return [&store = exchange.store, wanted](std::string_view key) {
        constexpr std::string_view kPrefix = "s3:existingobjecttag/";
        aws::Strings found;
        if (!key.starts_with(kPrefix)) return found;
        const auto info = store.head(wanted.bucket, wanted.key, wanted.version);
        if (!info) return found;
        for (const auto& [name, value] : info->tags)
            if (equals_ignoring_case(name, key.substr(kPrefix.size()))) found.push_back(value);
        return found;
    };
}

// The list of an object, where its bucket has lists at all.
std::optional<std::string> object_acl(const Exchange& exchange, const object_store::BucketInfo& bucket,
                                      const ObjectAccess& wanted) {
    if (wanted.key.empty() || ownership_of(bucket) == Ownership::BucketOwnerEnforced) return std::nullopt;
    const auto info = exchange.store.head(wanted.bucket, wanted.key, wanted.version);
    if (!info) return std::nullopt;
    const auto found = info->headers.find("x-amz-acl");
    return found == info->headers.end() ? std::nullopt : std::optional<std::string>(found->second);
}

// The owner of a bucket can always mend its policy, whatever it says.
bool mends_policy(const Exchange& exchange, const object_store::BucketInfo& bucket, std::string_view action) {
    return exchange.call.caller.arn == "arn:aws:iam::" + bucket.account + ":root" &&
           (action == "s3:GetBucketPolicy" || action == "s3:PutBucketPolicy" || action == "s3:DeleteBucketPolicy");
}

Access access_to(const Exchange& exchange, const ObjectAccess& wanted) {
    Access access;
    access.action = action_of(wanted.action, !wanted.version.empty());
    access.resource = "arn:aws:s3:::" + wanted.bucket + (wanted.key.empty() ? "" : "/" + wanted.key);
    add_request_keys(exchange, access);
    if (access.action == "s3:PutObject") add_request_tags(exchange, access);
    access.find_context = existing_tags(exchange, wanted);
    // A name that is taken is told as such, whoever has it.
    if (access.action == "s3:CreateBucket") return access;
    const auto bucket = exchange.store.find_bucket(wanted.bucket);
    if (!bucket) return access;  // judged by the caller's own policies; the handler says that it is missing
    access.resource_account = bucket->account;
    if (mends_policy(exchange, *bucket, access.action)) return access;
    const auto list = object_acl(exchange, *bucket, wanted);
    access.resource_policy =
        effective_policy(*bucket, access.resource, list ? &*list : nullptr, exchange.call.caller.account);
    return access;
}

Access access_to_list(const Exchange& exchange) {
    Access access = access_to(exchange, {"s3:ListBucket", exchange.bucket(), ""});
    for (auto& [key, values] : access.context)
        if (key == "s3:prefix") values = {exchange.key()};
    return access;
}

// Where a policy or lists let in who may not read the object: who may list the bucket for the key's prefix is told that
// it is missing.
bool may_know_it_is_missing(const Exchange& exchange, const ObjectAccess& wanted) {
    if (wanted.action != "s3:GetObject") return false;
    const auto bucket = exchange.store.find_bucket(wanted.bucket);
    const bool lists = bucket && ownership_of(*bucket) != Ownership::BucketOwnerEnforced;
    if (!bucket || (!lists && !bucket->document(kPolicyDocument))) return false;
    const auto may_read = exchange.call.may(access_to(exchange, wanted));
    if (!may_read || *may_read) return false;
    const auto object = exchange.store.head(wanted.bucket, wanted.key, wanted.version);
    if (object || object.error().kind != ErrorKind::NotFound) return false;
    const auto may_list = exchange.call.may(access_to_list(exchange));
    return may_list && *may_list;
}

// Whoever may write by the bucket's list owns what he writes, and says with it who else may read it.
bool writes_by_list(const Exchange& exchange) {
    const auto bucket = exchange.store.find_bucket(exchange.bucket());
    if (!bucket || ownership_of(*bucket) == Ownership::BucketOwnerEnforced) return false;
    const auto& caller = exchange.call.caller;
    const Acl acl = stored_acl(bucket->document(kAclDocument), bucket->account);
    if (acl.is_public() && public_access_of(*bucket).ignore_public_acls) return false;
    return std::any_of(acl.grants.begin(), acl.grants.end(), [&](const Grant& grant) {
        const bool named = grant.grantee == kEveryone ||
                           (!caller.anonymous() && (grant.grantee == kAnyAccount || grant.grantee == caller.account));
        return named && grant.permission == "WRITE";
    });
}

// What a request needs beside its main permission.
std::vector<std::string_view> more_actions(const Exchange& exchange, std::string_view operation) {
    std::vector<std::string_view> out;
    if (operation == "GetObjectAttributes") out.push_back("s3:GetObjectAttributes");
    const bool writes = operation == "PutObject" || operation == "CopyObject" || operation == "CreateMultipartUpload";
    if (!writes) return out;
    if (exchange.has_header("x-amz-tagging")) out.push_back("s3:PutObjectTagging");
    for (const auto& [name, value] : exchange.request.headers.all()) {
        const std::string lower = to_lower(name);
        if (lower != "x-amz-acl" && !lower.starts_with("x-amz-grant-")) continue;
        if (!writes_by_list(exchange)) out.push_back("s3:PutObjectAcl");
        break;
    }
    return out;
}

}  // namespace

bool has_access_row(std::string_view operation) { return find_row(operation) != nullptr; }

ApiResult<void> require_object(const Exchange& exchange, const ObjectAccess& wanted) {
    if (!exchange.call.gate) return {};
    return exchange.call.require(access_to(exchange, wanted));
}

ApiResult<void> authorize(const Exchange& exchange, std::string_view operation) {
    if (!exchange.call.gate) return {};
    exchange.call.gate->name_operation(operation);
    const Row* row = find_row(operation);
    if (row == nullptr) return access_denied();
    if (row->on == On::Keys) {
        // Each key is asked for by the handler; but nobody's document is not even read where nobody can be granted any.
        const auto bucket = exchange.store.find_bucket(exchange.bucket());
        const bool closed = bucket && effective_policy(*bucket, "arn:aws:s3:::" + bucket->name, nullptr, "").empty();
        if (exchange.call.caller.anonymous() && closed) return access_denied();
        return {};
    }
    if (row->on == On::Service) {
        Access access;
        access.action = std::string(row->action);
        access.resource = "arn:aws:s3:::*";
        return exchange.call.require(access);
    }
    // Names of buckets are no secret: whoever asks for one that is not there is told so by the handler.
    if (exchange.call.caller.anonymous() && !exchange.store.find_bucket(exchange.bucket())) return {};
    ObjectAccess wanted{row->action, exchange.bucket(), row->on == On::Object ? exchange.key() : ""};
    if (row->on == On::Object) wanted.version = exchange.parameter("versionId").value_or("");
    if (row->on == On::Object && may_know_it_is_missing(exchange, wanted)) return {};
    TRY(require_object(exchange, wanted));
    for (const std::string_view action : more_actions(exchange, operation)) {
        wanted.action = action;
        TRY(require_object(exchange, wanted));
    }
    return {};
}

ApiError hide_missing_key(const Exchange& exchange, ApiError error) {
    if (!exchange.call.gate || error.code != "NoSuchKey") return error;
    const auto may_list = exchange.call.may(access_to_list(exchange));
    if (!may_list || *may_list) return error;
    return access_denied();
}

}  // namespace millwright::s3
