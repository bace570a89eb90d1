#include "base/digest.h"
#include "oci/reference.h"
#include "services/registry/exchange.h"
#include "services/registry/ranges.h"
#include "services/registry/repository_access.h"

namespace millwright::services {
namespace {

constexpr size_t kMountCandidates = 16;  // each is a question to the policies

net::Headers describe(const RegistryExchange& exchange, const registry::UploadInfo& upload) {
    return {{"Location", exchange.path("blobs/uploads/" + upload.id)},
            {"Range", received_range(upload.offset)},
            {"Docker-Upload-UUID", upload.id}};
}

ApiResult<void> send_created(const RegistryExchange& exchange, const registry::BlobInfo& blob) {
    return exchange.send_empty(
        201, {{"Location", exchange.path("blobs/" + blob.digest)}, {"Docker-Content-Digest", blob.digest}});
}

// Where the bytes of the request go, as far as the client says it.
ApiResult<registry::Registry::Piece> piece_of(const RegistryExchange& exchange) {
    registry::Registry::Piece piece;
    piece.length = exchange.request.body->length();
    if (!exchange.request.headers.has("Content-Range")) return piece;
    const auto range = upload_range(exchange.header("Content-Range"));
    if (!range) return ApiError{416, "RANGE_INVALID", "Content-Range of an upload has the form <first>-<last>"};
    if (piece.length && *piece.length != range->length)
        return ApiError{416, "RANGE_INVALID", "Content-Range and Content-Length speak of different numbers of bytes"};
    piece.position = range->first;
    piece.length = range->length;
    return piece;
}

// An upload at another place tells the client where it stands.
ApiError upload_error(const RegistryExchange& exchange, const Error& failure) {
    ApiError error = registry_error(failure);
    if (failure.detail != registry::reason::kUploadPosition) return error;
    const auto upload = exchange.registry().find_upload(exchange.repository, exchange.target.item);
    if (upload) error.headers = describe(exchange, *upload).all();
    return error;
}

// Whoever may not read there does not learn what is there: the client uploads instead, as the specification has it.
ApiResult<std::optional<registry::BlobInfo>> mount_from(const RegistryExchange& exchange, const std::string& digest,
                                                        const registry::RepositoryName& source) {
    const auto access = TRY(
        in_registry(repository_access(exchange.registry(), exchange.parts.tags, source, "ecr:GetDownloadUrlForLayer")));
    if (!TRY(exchange.call.may(access))) return std::optional<registry::BlobInfo>();
    auto mounted = exchange.registry().mount_blob(exchange.repository, digest, source);
    if (mounted) return std::optional<registry::BlobInfo>(std::move(*mounted));
    if (mounted.error().kind == ErrorKind::NotFound) return std::optional<registry::BlobInfo>();
    return registry_error(mounted.error());
}

// Without `from`: the first repositories that have it.
ApiResult<std::optional<registry::BlobInfo>> try_to_mount(const RegistryExchange& exchange) {
    const auto digest = exchange.parameter("mount"), from = exchange.parameter("from");
    if (!digest) return std::optional<registry::BlobInfo>();
    if (!oci::is_digest(*digest))
        return ApiError{400, "DIGEST_INVALID",
                        "A digest has the form sha256:<64 hex digits> or sha512:<128 hex digits>"};
    std::vector<registry::RepositoryName> sources;
    if (!from) {
        sources = TRY(
            in_registry(exchange.registry().repositories_with_blob(exchange.repository, *digest, kMountCandidates)));
    } else if (oci::is_repository_name(*from)) {
        sources.push_back(exchange.repository);
        sources.back().name = *from;
    }
    for (const auto& source : sources) {
        auto mounted = TRY(mount_from(exchange, *digest, source));
        if (mounted) return mounted;
    }
    return std::optional<registry::BlobInfo>();
}

ApiResult<std::string> digest_asked(const RegistryExchange& exchange) {
    const auto digest = exchange.parameter("digest");
    if (digest && oci::is_digest(*digest)) return *digest;
    return ApiError{400, "DIGEST_INVALID",
                    "The parameter digest has the form sha256:<64 hex digits> or sha512:<128 hex digits>"};
}

}  // namespace

ApiResult<void> begin_upload(const RegistryExchange& exchange) {
    TRY(provide_repository(exchange));
    const auto mounted = TRY(try_to_mount(exchange));
    if (mounted) return send_created(exchange, *mounted);
    // Some clients name the digest here and send the bytes later.
    const bool whole =
        exchange.parameter("digest").has_value() &&
        (exchange.request.body->length() != uint64_t{0} || exchange.parameter("digest") == "sha256:" + sha256_hex(""));
    if (whole) {
        const auto digest = TRY(digest_asked(exchange));
        TRY(require_registry(exchange, exchange.repository, "ecr:UploadLayerPart"));
        TRY(require_registry(exchange, exchange.repository, "ecr:CompleteLayerUpload"));
        const auto blob =
            TRY(in_registry(exchange.registry().put_blob(exchange.repository, digest, body_source(exchange.request))));
        return send_created(exchange, blob);
    }
    const auto upload = TRY(in_registry(exchange.registry().begin_upload(exchange.repository)));
    return exchange.send_empty(202, describe(exchange, upload));
}

ApiResult<void> show_upload(const RegistryExchange& exchange) {
    const auto upload = TRY(in_registry(exchange.registry().find_upload(exchange.repository, exchange.target.item)));
    return exchange.send_empty(204, describe(exchange, upload));
}

ApiResult<void> continue_upload(const RegistryExchange& exchange) {
    const auto piece = TRY(piece_of(exchange));
    const auto upload =
        exchange.registry().append(exchange.repository, exchange.target.item, piece, body_source(exchange.request));
    if (!upload) return upload_error(exchange, upload.error());
    return exchange.send_empty(202, describe(exchange, *upload));
}

ApiResult<void> complete_upload(const RegistryExchange& exchange) {
    const auto digest = TRY(digest_asked(exchange));
    const auto piece = TRY(piece_of(exchange));
    if (piece.length != uint64_t{0}) TRY(require_registry(exchange, exchange.repository, "ecr:UploadLayerPart"));
    const auto blob = exchange.registry().complete_upload(exchange.repository, exchange.target.item, digest, piece,
                                                          body_source(exchange.request));
    if (!blob) return upload_error(exchange, blob.error());
    return send_created(exchange, *blob);
}

ApiResult<void> abort_upload(const RegistryExchange& exchange) {
    TRY(in_registry(exchange.registry().abort_upload(exchange.repository, exchange.target.item)));
    return exchange.send_empty(204);
}

}  // namespace millwright::services
