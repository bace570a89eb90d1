#include "services/s3/s3_service.h"

#include <algorithm>

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
    {"GetBucketVersioning", "GET", Level::Bucket, "versioning", "", get_bucket_configuration},
    {"GetBucketLogging", "GET", Level::Bucket, "logging", "", get_bucket_configuration},
    {"GetBucketNotificationConfiguration", "GET", Level::Bucket, "notification", "", get_bucket_configuration},
    {"GetBucketAccelerateConfiguration", "GET", Level::Bucket, "accelerate", "", get_bucket_configuration},
    {"GetBucketRequestPayment", "GET", Level::Bucket, "requestPayment", "", get_bucket_configuration},
    {"GetBucketPolicy", "GET", Level::Bucket, "policy", "", get_bucket_configuration},
    {"GetBucketPolicyStatus", "GET", Level::Bucket, "policyStatus", "", get_bucket_configuration},
    {"GetBucketTagging", "GET", Level::Bucket, "tagging", "", get_bucket_configuration},
    {"GetBucketCors", "GET", Level::Bucket, "cors", "", get_bucket_configuration},
    {"GetBucketLifecycleConfiguration", "GET", Level::Bucket, "lifecycle", "", get_bucket_configuration},
    {"GetBucketEncryption", "GET", Level::Bucket, "encryption", "", get_bucket_configuration},
    {"GetBucketWebsite", "GET", Level::Bucket, "website", "", get_bucket_configuration},
    {"GetBucketReplication", "GET", Level::Bucket, "replication", "", get_bucket_configuration},
    {"GetObjectLockConfiguration", "GET", Level::Bucket, "object-lock", "", get_bucket_configuration},
    {"GetPublicAccessBlock", "GET", Level::Bucket, "publicAccessBlock", "", get_bucket_configuration},
    {"ListMultipartUploads", "GET", Level::Bucket, "uploads", "", list_multipart_uploads},
    {"ListObjectsV2", "GET", Level::Bucket, "list-type", "", list_objects_v2},
    {"ListObjects", "GET", Level::Bucket, "", "", list_objects},
    {"HeadBucket", "HEAD", Level::Bucket, "", "", head_bucket},
    {"CreateBucket", "PUT", Level::Bucket, "", "", create_bucket},
    {"DeleteBucket", "DELETE", Level::Bucket, "", "", delete_bucket},
    {"DeleteObjects", "POST", Level::Bucket, "delete", "", delete_objects},

    {"ListParts", "GET", Level::Object, "uploadId", "", list_parts},
    {"GetObjectAcl", "GET", Level::Object, "acl", "", get_acl},
    {"GetObjectTagging", "GET", Level::Object, "tagging", "", get_object_tagging},
    {"GetObject", "GET", Level::Object, "", "", get_object},
    {"HeadObject", "HEAD", Level::Object, "", "", get_object},
    {"UploadPartCopy", "PUT", Level::Object, "uploadId", "x-amz-copy-source", upload_part_copy},
    {"UploadPart", "PUT", Level::Object, "uploadId", "", upload_part},
    {"CopyObject", "PUT", Level::Object, "", "x-amz-copy-source", copy_object},
    {"PutObject", "PUT", Level::Object, "", "", put_object},
    {"AbortMultipartUpload", "DELETE", Level::Object, "uploadId", "", abort_multipart_upload},
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
    if (exchange.request.method == "POST" && level == Level::Bucket) return not_implemented("uploads by HTML form");
    return ApiError{405, "MethodNotAllowed", "The specified method is not allowed against this resource."};
}

// Buckets have no versions: the only one of an object is "null".
ApiResult<void> check_version(const Exchange& exchange) {
    const auto version = exchange.parameter("versionId");
    if (!version || *version == "null") return {};
    return invalid_argument("Invalid version id specified", "versionId", *version);
}

ApiResult<void> serve(const aws::Call& call, net::Request& request, net::ResponseWriter& response,
                      object_store::ObjectStore& store, const S3Settings& settings) {
    Exchange exchange{call, request, response, store, settings.domains, {}, net::parse_query(request.raw_query())};
    exchange.target = TRY(find_target(request.headers.get("Host"), request.raw_path(), settings.domains));
    if (!exchange.key().empty()) TRY(in_s3(object_store::check_key(exchange.key())));
    const Route* route = TRY(find_route(exchange));
    TRY(check_version(exchange));
    exchange.operation = route->name;
    return route->handle(exchange);
}

}  // namespace

aws::Service s3_service(object_store::ObjectStore& store, S3Settings settings) {
    aws::Service service{"s3", "s3", aws::Protocol::Stream, {}, {}};
    for (const auto& route : kRoutes) service.operations.push_back({route.name, {}});
    service.stream = [&store, settings = std::move(settings)](const aws::Call& call, net::Request& request,
                                                              net::ResponseWriter& response) {
        return serve(call, request, response, store, settings);
    };
    return service;
}

}  // namespace millwright::s3
