#include "oci/runnable.h"

#include <utility>

#include "base/digest.h"
#include "base/encoding.h"

namespace millwright::oci {
namespace {

constexpr size_t kMaxConfigBytes = size_t{4} << 20;
constexpr size_t kMaxLayers = 127;

Result<std::string> read_config(ImageSource& source, const Reference& repository, const Descriptor& wanted) {
    if (wanted.size > kMaxConfigBytes) return invalid_input("the configuration of the image is too large");
    const auto blob = TRY(source.open_blob(repository, wanted.digest));
    std::string text(wanted.size + 1, '\0');
    size_t size = 0;
    while (size < text.size()) {
        const size_t got = TRY(blob->read(text.data() + size, text.size() - size));
        if (got == 0) break;
        size += got;
    }
    text.resize(size);
    const bool is_long = wanted.digest.starts_with("sha512:");
    const std::string found = to_hex(digest(is_long ? DigestKind::Sha512 : DigestKind::Sha256, text));
    if ((is_long ? "sha512:" : "sha256:") + found != wanted.digest)
        return invalid_input("the configuration of the image has another digest than its manifest says");
    return text;
}

Result<void> check(const Manifest& manifest, const ImageConfig& config) {
    const Platform here = this_platform();
    if (!config.platform.os.empty() && config.platform.os != here.os)
        return invalid_input("the image is for " + config.platform.os + ", not for " + here.os);
    if (!config.platform.architecture.empty() && config.platform.architecture != here.architecture)
        return invalid_input("the image is for the architecture " + config.platform.architecture +
                             ", this machine's is " + here.architecture);
    if (manifest.layers.empty()) return invalid_input("the image has no layers");
    if (manifest.layers.size() > kMaxLayers)
        return invalid_input("the image has more than " + std::to_string(kMaxLayers) + " layers");
    if (manifest.layers.size() != config.diff_ids.size())
        return invalid_input("the image's configuration is not that of its layers");
    for (size_t i = 0; i < manifest.layers.size(); ++i) {
        const Descriptor& layer = manifest.layers[i];
        if (!is_layer(layer.media_type))
            return invalid_input("a layer of the image is of the kind " + layer.media_type + ", which is not known");
        for (const std::string& name : {layer.digest, config.diff_ids[i]})
            if (!is_digest(name)) return invalid_input("the image names a layer by " + name);
    }
    return {};
}

}  // namespace

Result<FoundImage> for_this_machine(ImageSource& source, FoundImage found) {
    if (!is_index(found.manifest.media_type)) return found;
    const Index index = TRY(parse_index(found.manifest.text));
    const Descriptor chosen = TRY(choose_platform(index, this_platform()));
    found.reference.tag.clear();
    found.reference.digest = chosen.digest;
    found.manifest = TRY(source.find_manifest(found.reference));
    return found;
}

Result<RunnableImage> open_runnable(ImageSource& source, FoundImage found) {
    RunnableImage image;
    image.found = std::move(found);
    image.manifest = TRY(parse_manifest(image.found.manifest.text));
    const Descriptor& config = image.manifest.config;
    if (config.media_type != "application/vnd.oci.image.config.v1+json" &&
        config.media_type != "application/vnd.docker.container.image.v1+json")
        return invalid_input("this is an artifact of the kind " + config.media_type + ", not an image to run");
    const std::string text = TRY(read_config(source, image.found.reference, config));
    image.config = TRY(parse_image_config(text));
    TRY(check(image.manifest, image.config));
    return image;
}

}  // namespace millwright::oci
