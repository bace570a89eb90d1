#include "registry/image_document.h"

#include "registry/registry.h"

namespace millwright::registry {
namespace {

Error not_ours(const Error& failure) {
    const bool large = failure.kind == ErrorKind::LimitExceeded;
    return {failure.kind, failure.message, std::string(large ? reason::kManifestSize : reason::kManifest)};
}

ImageDocument describe(const oci::Manifest& manifest) {
    ImageDocument document;
    document.media_type = manifest.media_type;
    document.config_media_type = manifest.config.media_type;
    document.artifact_type = manifest.artifact_type.empty() ? manifest.config.media_type : manifest.artifact_type;
    if (manifest.subject) document.subject = manifest.subject->digest;
    document.blobs.push_back({manifest.config.digest, manifest.config.size});
    for (const auto& layer : manifest.layers) {
        if (oci::is_foreign_layer(layer.media_type)) continue;
        document.image_bytes += layer.size;
        document.blobs.push_back({layer.digest, layer.size});
    }
    return document;
}

ImageDocument describe(const oci::Index& index) {
    ImageDocument document;
    document.media_type = index.media_type;
    document.artifact_type = index.artifact_type;
    if (index.subject) document.subject = index.subject->digest;
    for (const auto& entry : index.manifests) {
        // Builders keep their caches as indexes of layers.
        if (oci::is_manifest(entry.media_type) || oci::is_index(entry.media_type))
            document.children.push_back(entry.digest);
        else
            document.blobs.push_back({entry.digest, entry.size});
    }
    return document;
}

}  // namespace

Result<ImageDocument> read_image_document(std::string_view text, std::string_view media_type) {
    const auto manifest = oci::parse_manifest(text);
    if (!manifest && manifest.error().kind == ErrorKind::LimitExceeded) return not_ours(manifest.error());
    std::optional<ImageDocument> document;
    if (manifest) {
        document = describe(*manifest);
    } else {
        const auto index = oci::parse_index(text);
        if (index)
            document = describe(*index);
        else
            return not_ours(oci::is_index(media_type) ? index.error() : manifest.error());
    }
    if (!media_type.empty() && media_type != document->media_type)
        return not_ours(
            invalid_input("the document is a " + document->media_type + ", and was sent as another media type"));
    return std::move(*document);
}

}  // namespace millwright::registry
