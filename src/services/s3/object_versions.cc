#include "services/s3/object_versions.h"

#include "services/s3/bucket_lifecycle.h"

namespace millwright::s3 {
namespace {

// The delete marker the request met, for its id and time.
std::optional<object_store::VersionInfo> find_marker(const Exchange& exchange) {
    object_store::VersionListRequest request;
    request.prefix = exchange.key();
    const std::string version = version_of(exchange);
    request.max_versions = version.empty() ? 1 : 1000;
    const auto page = exchange.store.list_versions(exchange.bucket(), request);
    if (!page) return std::nullopt;
    for (const auto& found : page->versions)
        if (found.delete_marker && found.object.key == exchange.key() &&
            (version.empty() ? found.latest : found.object.version == version))
            return found;
    return std::nullopt;
}

}  // namespace

std::string version_of(const Exchange& exchange) { return exchange.parameter("versionId").value_or(""); }

ApiError object_error(const Exchange& exchange, const Error& failure) {
    ApiError error = s3_error(failure);
    if (failure.kind == ErrorKind::NotFound || failure.kind == ErrorKind::Conflict)
        error.members.set("Key", exchange.key());
    if (failure.detail == object_store::reason::kVersion && failure.kind == ErrorKind::NotFound)
        error.members.set("VersionId", version_of(exchange));
    const bool marker = failure.detail == object_store::reason::kDeleteMarker;
    // Ceph says "false", AWS nothing; clients read both as no delete marker.
    if (failure.detail == object_store::reason::kKey && failure.kind == ErrorKind::NotFound)
        error.headers.emplace_back("x-amz-delete-marker", "false");
    if (!marker) return error;
    error.headers.emplace_back("x-amz-delete-marker", "true");
    if (const auto found = find_marker(exchange)) {
        error.headers.emplace_back("x-amz-version-id", found->object.version);
        if (error.status == 405) error.headers.emplace_back("Last-Modified", format_rfc1123(found->object.modified));
    }
    if (error.status == 405) {
        error.headers.emplace_back("Allow", "DELETE");
        error.members.set("Method", exchange.request.method);
        error.members.set("ResourceType", "DeleteMarker");
    }
    return error;
}

ApiResult<object_store::ObjectInfo> head_object(const Exchange& exchange) {
    auto object = exchange.store.head(exchange.bucket(), exchange.key(), version_of(exchange));
    if (!object) return object_error(exchange, object.error());
    return std::move(*object);
}

void add_version_header(net::Headers& headers, const std::string& version) {
    if (!version.empty()) headers.add("x-amz-version-id", version);
}

void add_written_headers(net::Headers& headers, const object_store::BucketInfo& bucket,
                         const object_store::ObjectInfo& object) {
    if (object.version != object_store::kNullVersion) add_version_header(headers, object.version);
    add_expiration_header(headers, bucket, object);
}

}  // namespace millwright::s3
