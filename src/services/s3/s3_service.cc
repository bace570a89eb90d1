#include "services/s3/s3_service.h"

#include <algorithm>

#include "base/check.h"
#include "services/s3/access.h"
#include "services/s3/cors.h"
#include "services/s3/operations.h"

namespace millwright::s3 {
namespace {

enum class Level { Service, Bucket, Object };

// The first row that fits a request is its operation.
struct Route {
    std::string_view name;
    std::string_view method;
    Level level;
    std::string_view parameter;  // must be in the query; "" for none
    std::string_view header;     // must be there; "" for none
    ApiResult<void> (*handle)(Exchange&);
};

constexpr Route kRoutes[] = {
    {"ListBuckets", "GET", Level::Service, "", "", list_buckets},

    {"GetBucketLocation", "GET", Level::Bucket, "location", "", get_bucket_location},
    {"GetBucketAcl", "GET", Level::Bucket, "acl", "", get_acl},
    {"GetBucketVersioning", "GET", Level::Bucket, "versioning", "", get_bucket_versioning},
    {"GetBucketLogging", "GET", Level::Bucket, "logging", "", get_bucket_configuration},
    {"GetBucketNotificationConfiguration", "GET", Level::Bucket, "notification", "", get_bucket_configuration},
    {"GetBucketAccelerateConfiguration", "GET", Level::Bucket, "accelerate", "", get_bucket_configuration},
    {"GetBucketRequestPayment", "GET", Level::Bucket, "requestPayment", "", get_bucket_configuration},
    {"GetBucketPolicy", "GET", Level::Bucket, "policy", "", get_bucket_policy},
    {"GetBucketPolicyStatus", "GET", Level::Bucket, "policyStatus", "", get_bucket_policy_status},
    {"GetBucketTagging", "GET", Level::Bucket, "tagging", "", get_bucket_tagging},
    {"GetBucketCors", "GET", Level::Bucket, "cors", "", get_bucket_cors},
    {"GetBucketLifecycleConfiguration", "GET", Level::Bucket, "lifecycle", "", get_bucket_lifecycle},
    {"GetBucketEncryption", "GET", Level::Bucket, "encryption", "", get_bucket_encryption},
    {"GetBucketWebsite", "GET", Level::Bucket, "website", "", get_bucket_configuration},
    {"GetBucketReplication", "GET", Level::Bucket, "replication", "", get_bucket_configuration},
    {"GetObjectLockConfiguration", "GET", Level::Bucket, "object-lock", "", get_bucket_configuration},
    {"GetPublicAccessBlock", "GET", Level::Bucket, "publicAccessBlock", "", get_public_access_block},
    {"GetBucketOwnershipControls", "GET", Level::Bucket, "ownershipControls", "", get_bucket_ownership_controls},
    {"ListMultipartUploads", "GET", Level::Bucket, "uploads", "", list_multipart_uploads},
    {"ListObjectVersions", "GET", Level::Bucket, "versions", "", list_object_versions},
    {"ListObjectsV2", "GET", Level::Bucket, "list-type", "", list_objects_v2},
    {"ListObjects", "GET", Level::Bucket, "", "", list_objects},
    {"HeadBucket", "HEAD", Level::Bucket, "", "", head_bucket},
    {"PutBucketAcl", "PUT", Level::Bucket, "acl", "", put_acl},
    {"PutBucketPolicy", "PUT", Level::Bucket, "policy", "", put_bucket_policy},
    {"PutBucketCors", "PUT", Level::Bucket, "cors", "", put_bucket_cors},
    {"PutBucketEncryption", "PUT", Level::Bucket, "encryption", "", put_bucket_encryption},
    {"PutPublicAccessBlock", "PUT", Level::Bucket, "publicAccessBlock", "", put_public_access_block},
    {"PutBucketOwnershipControls", "PUT", Level::Bucket, "ownershipControls", "", put_bucket_ownership_controls},
    {"PutBucketVersioning", "PUT", Level::Bucket, "versioning", "", put_bucket_versioning},
    {"PutBucketTagging", "PUT", Level::Bucket, "tagging", "", put_bucket_tagging},
    {"PutBucketLifecycleConfiguration", "PUT", Level::Bucket, "lifecycle", "", put_bucket_lifecycle},
    {"CreateBucket", "PUT", Level::Bucket, "", "", create_bucket},
    {"DeleteBucketPolicy", "DELETE", Level::Bucket, "policy", "", delete_bucket_policy},
    {"DeleteBucketCors", "DELETE", Level::Bucket, "cors", "", delete_bucket_cors},
    {"DeleteBucketEncryption", "DELETE", Level::Bucket, "encryption", "", delete_bucket_encryption},
    {"DeletePublicAccessBlock", "DELETE", Level::Bucket, "publicAccessBlock", "", delete_public_access_block},
    {"DeleteBucketOwnershipControls", "DELETE", Level::Bucket, "ownershipControls", "",
     delete_bucket_ownership_controls},
    {"DeleteBucketTagging", "DELETE", Level::Bucket, "tagging", "", delete_bucket_tagging},
    {"DeleteBucketLifecycle", "DELETE", Level::Bucket, "lifecycle", "", delete_bucket_lifecycle},
    {"DeleteBucket", "DELETE", Level::Bucket, "", "", delete_bucket},
    {"DeleteObjects", "POST", Level::Bucket, "delete", "", delete_objects},

    {"ListParts", "GET", Level::Object, "uploadId", "", list_parts},
    {"GetObjectAcl", "GET", Level::Object, "acl", "", get_acl},
    {"GetObjectAttributes", "GET", Level::Object, "attributes", "", get_object_attributes},
    {"GetObjectTagging", "GET", Level::Object, "tagging", "", get_object_tagging},
    {"GetObject", "GET", Level::Object, "", "", get_object},
    {"HeadObject", "HEAD", Level::Object, "", "", get_object},
    {"UploadPartCopy", "PUT", Level::Object, "uploadId", "x-amz-copy-source", upload_part_copy},
    {"UploadPart", "PUT", Level::Object, "uploadId", "", upload_part},
    {"PutObjectAcl", "PUT", Level::Object, "acl", "", put_acl},
    {"PutObjectTagging", "PUT", Level::Object, "tagging", "", put_object_tagging},
    {"CopyObject", "PUT", Level::Object, "", "x-amz-copy-source", copy_object},
    {"PutObject", "PUT", Level::Object, "", "", put_object},
    {"AbortMultipartUpload", "DELETE", Level::Object, "uploadId", "", abort_multipart_upload},
    {"DeleteObjectTagging", "DELETE", Level::Object, "tagging", "", delete_object_tagging},
    {"DeleteObject", "DELETE", Level::Object, "", "", delete_object},
    {"CreateMultipartUpload", "POST", Level::Object, "uploads", "", create_multipart_upload},
    {"CompleteMultipartUpload", "POST", Level::Object, "uploadId", "", complete_multipart_upload},
};

// Query parameters that turn a request into another operation. One of these on a request whose route does not name it
// asks for something that is not there.
constexpr std::string_view kSubresources[] = {
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metadataConfiguration",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versioning",
    "versions",
    "website",
    "append",
};

Level level_of(const Target& target) {
    return target.bucket.empty() ? Level::Service : target.key.empty() ? Level::Bucket : Level::Object;
}

ApiResult<const Route*> find_route(const Exchange& exchange) {
    const Level level = level_of(exchange.target);
    for (const auto& route : kRoutes) {
        if (route.level != level || route.method != exchange.request.method) continue;
        if (!route.parameter.empty() && !exchange.parameter(route.parameter)) continue;
        if (!route.header.empty() && !exchange.has_header(route.header)) continue;
        for (const auto& [name, value] : exchange.query)
            if (name != route.parameter &&
                std::find(std::begin(kSubresources), std::end(kSubresources), name) != std::end(kSubresources))
                return not_implemented("the S3 operation " + exchange.request.method + " ?" + name);
        return &route;
    }
    for (const auto& [name, value] : exchange.query)
        if (std::find(std::begin(kSubresources), std::end(kSubresources), name) != std::end(kSubresources))
            return not_implemented("the S3 operation " + exchange.request.method + " ?" + name);
    static constexpr Route kForm{"PutObject", "POST", Level::Bucket, "", "", post_object};  // no operation of the model
    if (exchange.request.method == "POST" && level == Level::Bucket) return &kForm;
    return ApiError{405, "MethodNotAllowed", "The specified method is not allowed against this resource."};
}

constexpr std::string_view kOfVersions[] = {
    "GetObject",           "HeadObject",       "DeleteObject",     "GetObjectAcl",        "PutObjectAcl",
    "GetObjectAttributes", "GetObjectTagging", "PutObjectTagging", "DeleteObjectTagging",
};

ApiResult<void> check_version(const Exchange& exchange, std::string_view operation) {
    const auto version = exchange.parameter("versionId");
    if (!version) return {};
    if (std::find(std::begin(kOfVersions), std::end(kOfVersions), operation) == std::end(kOfVersions))
        return invalid_argument("This operation does not accept a version-id.", "versionId", *version);
    if (version->empty()) return invalid_argument("Version id cannot be the empty string", "versionId", *version);
    return {};
}

ApiResult<void> run(Exchange& exchange) {
    if (!exchange.key().empty()) TRY(in_s3(object_store::check_key(exchange.key())));
    if (exchange.request.method == "OPTIONS" && !exchange.bucket().empty()) return preflight(exchange);
    const Route* route = TRY(find_route(exchange));
    TRY(check_version(exchange, route->name));
    // Whatever policies say, nobody has no buckets.
    if (exchange.call.caller.anonymous() && (exchange.bucket().empty() || route->handle == create_bucket))
        return access_denied();
    exchange.operation = route->name;
    // The sender of a form is known only when the form has been read.
    if (route->handle != post_object) TRY(authorize(exchange, route->name));
    auto result = route->handle(exchange);
    if (!result) return hide_missing_key(exchange, std::move(result).error());
    return {};
}

ApiResult<void> serve(const aws::Call& call, net::Request& request, net::ResponseWriter& response,
                      object_store::ObjectStore& store, const S3Settings& settings) {
    Exchange exchange{call, request, response, store, settings, {}, net::parse_query(request.raw_query())};
    exchange.target = TRY(find_target(request.headers.get("Host"), request.raw_path(), settings.domains));
    const net::Headers cors = cors_headers_of_answer(exchange);
    if (cors.all().empty()) return run(exchange);
    // A page may read the answer, also one that says no.
    HeadedWriter headed(response, cors);
    Exchange crossing{call, request, headed, store, settings, exchange.target, exchange.query};
    auto result = run(crossing);
    if (result) return {};
    ApiError error = std::move(result).error();
    error.headers.insert(error.headers.end(), cors.all().begin(), cors.all().end());
    return error;
}

}  // namespace

aws::Service s3_service(object_store::ObjectStore& store, S3Settings settings) {
    aws::Service service{"s3", "s3", aws::Protocol::Stream, {}, {}};
    for (const auto& route : kRoutes) {
        CHECK(has_access_row(route.name));
        service.operations.push_back({route.name, {}});
    }
    service.takes_anonymous = true;
    service.stream = [&store, settings = std::move(settings)](const aws::Call& call, net::Request& request,
                                                              net::ResponseWriter& response) {
        return serve(call, request, response, store, settings);
    };
    return service;
}

}  // namespace millwright::s3
