#include "base/encoding.h"
#include "base/strings.h"
#include "oci/image.h"
#include "oci/reference.h"
#include "services/registry/exchange.h"

namespace millwright::services {
namespace {

constexpr std::string_view kIndexType = "application/vnd.oci.image.index.v1+json";
// Of an answer to /referrers/, which may have annotations of megabytes for each.
constexpr size_t kReferrersAtOnce = 16, kMostReferrers = 1000, kReferrersBytes = oci::kMaxManifestBytes;

registry::ImageName image_named(const RegistryExchange& exchange) {
    const std::string& item = exchange.target.item;
    return oci::is_digest(item) ? registry::ImageName{"", item} : registry::ImageName{item, ""};
}

// "application/vnd.oci.image.manifest.v1+json; charset=utf-8"
std::string media_type_of(const RegistryExchange& exchange) {
    const std::string header = exchange.header("Content-Type");
    return std::string(trim(std::string_view(header).substr(0, header.find(';'))));
}

ApiResult<std::string> read_document(const RegistryExchange& exchange) {
    const auto too_large = [] {
        return ApiError{413, "MANIFEST_INVALID",
                        "A manifest has at most " + std::to_string(oci::kMaxManifestBytes) + " bytes"};
    };
    if (exchange.request.body->length().value_or(0) > oci::kMaxManifestBytes) return too_large();
    auto text = net::read_all(*exchange.request.body, oci::kMaxManifestBytes);
    if (text) return std::move(*text);
    if (text.error().kind == ErrorKind::LimitExceeded) return too_large();
    return ApiError{400, "MANIFEST_INVALID", "The manifest could not be read: " + text.error().message};
}

Json as_descriptor(const registry::Referrer& referrer) {
    Json entry =
        Json::object({{"mediaType", referrer.media_type}, {"digest", referrer.digest}, {"size", referrer.size}});
    if (!referrer.artifact_type.empty()) entry.set("artifactType", referrer.artifact_type);
    if (!referrer.annotations.is_null()) entry.set("annotations", referrer.annotations);
    return entry;
}

}  // namespace

ApiResult<void> get_manifest(const RegistryExchange& exchange) {
    const auto found = TRY(in_registry(exchange.registry().find_image(exchange.repository, image_named(exchange))));
    const auto& image = found.image;
    net::Headers headers{{"Content-Type", image.media_type},
                         {"Docker-Content-Digest", image.digest},
                         {"ETag", "\"" + image.digest + "\""}};
    if (exchange.header("If-None-Match") == headers.get("ETag")) return exchange.send_empty(304, std::move(headers));
    if (exchange.head()) {
        TRY(exchange.response.send_headers_only(200, headers, found.text.size()));
        return {};
    }
    exchange.registry().note_pull(exchange.repository, image);
    TRY(exchange.response.send(200, headers, found.text));
    return {};
}

ApiResult<void> put_manifest(const RegistryExchange& exchange) {
    const auto text = TRY(read_document(exchange));
    const auto name = image_named(exchange);
    TRY(provide_repository(exchange));
    registry::PutOptions options;
    options.media_type = media_type_of(exchange);
    options.tag = name.tag;
    options.digest = name.digest;
    const auto put = TRY(in_registry(exchange.registry().put_image(exchange.repository, text, options)));
    net::Headers headers{{"Location", exchange.path("manifests/" + put.image.digest)},
                         {"Docker-Content-Digest", put.image.digest}};
    if (!put.image.subject.empty()) headers.add("OCI-Subject", put.image.subject);
    return exchange.send_empty(201, std::move(headers));
}

ApiResult<void> delete_manifest(const RegistryExchange& exchange) {
    const auto name = image_named(exchange);
    auto& registry = exchange.registry();
    if (name.tag.empty())
        TRY(in_registry(
            registry.remove_image(exchange.repository, name.digest, registry::Registry::Referenced::Allow)));
    else
        TRY(in_registry(registry.remove_tag(exchange.repository, name.tag, registry::Registry::LastTag::KeepsImage)));
    return exchange.send_empty(202);
}

ApiResult<void> list_referrers(const RegistryExchange& exchange) {
    const std::string type = exchange.parameter("artifactType").value_or("");
    std::string after = exchange.parameter("last").value_or("");
    Json manifests = Json::array();
    size_t bytes = 0;
    bool more = true;
    // A repository without images, and one that is not there, have no referrers; neither is an error here.
    if (!exchange.registry().find_repository(exchange.repository)) more = false;
    while (more && manifests.size() < kMostReferrers && bytes < kReferrersBytes) {
        const auto page = TRY(in_registry(
            exchange.registry().referrers(exchange.repository, exchange.target.item, type, {after, kReferrersAtOnce})));
        more = page.size() == kReferrersAtOnce;
        for (const auto& referrer : page) {
            after = referrer.digest;
            manifests.push_back(as_descriptor(referrer));
            bytes += manifests.as_array().back().dump().size();
        }
    }
    net::Headers headers{{"Content-Type", std::string(kIndexType)}};
    if (!type.empty()) headers.add("OCI-Filters-Applied", "artifactType");
    std::string query = "last=" + after;
    if (!type.empty()) query += "&artifactType=" + percent_encode(type);
    if (more) headers.add("Link", next_page_link(exchange.path("referrers/" + exchange.target.item), query));
    return exchange.send_json(
        Json::object(
            {{"schemaVersion", 2}, {"mediaType", std::string(kIndexType)}, {"manifests", std::move(manifests)}}),
        std::move(headers));
}

}  // namespace millwright::services
