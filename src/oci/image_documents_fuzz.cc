// Manifests, indexes and configurations as anybody may push them.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "oci/image.h"
#include "oci/reference.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright::oci;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto manifest = parse_manifest(text);
    const auto index = parse_index(text);
    CHECK(!(manifest && index) && "one document, two meanings");
    if (manifest) {
        CHECK(is_manifest(manifest->media_type) && is_digest(manifest->config.digest));
        for (const auto& layer : manifest->layers) CHECK(is_digest(layer.digest));
    }
    if (index) {
        CHECK(is_index(index->media_type));
        if (const auto chosen = choose_platform(*index, {"amd64", "linux", ""})) CHECK(is_digest(chosen->digest));
    }
    if (const auto config = parse_image_config(text))
        for (const auto& word : config->entrypoint) CHECK(word.find('\0') == std::string::npos);
    return 0;
}
