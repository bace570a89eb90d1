// Files of images come in two forms. Both are unpacked into a folder of our own first, if they are archives.
//
//   OCI layout      oci-layout, index.json {manifests: [{digest, annotations: {name}}]}, blobs/sha256/<hex>
//   docker save     manifest.json [{Config: "<file>", RepoTags: ["name:tag"], Layers: ["<file>", …]}]
//
// The second has no manifests with digests, so one is written; its layers are archives without compression.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <functional>

#include "base/files.h"
#include "base/json.h"
#include "base/random.h"
#include "executors/contract/archive.h"
#include "executors/images/image_layout.h"
#include "executors/images/layout_files.h"
#include "oci/image.h"

namespace millwright::executors {
namespace {

using namespace layout_files;

constexpr size_t kMaxDocumentBytes = size_t{16} << 20;
constexpr const char* kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
constexpr const char* kDockerConfig = "application/vnd.docker.container.image.v1+json";
constexpr const char* kOciTar = "application/vnd.oci.image.layer.v1.tar";
constexpr const char* kOciTarGzip = "application/vnd.oci.image.layer.v1.tar+gzip";

struct Import {
    std::string source;  // folder with the files
    Keep keep = Keep::Nothing;
    std::string layout;
    std::string name;  // given by the user, or empty
    std::function<void(const std::string&)> progress;

    void say(const std::string& text) const {
        if (progress) progress(text);
    }
};

// A path of the document, below the source: documents are foreign bytes.
Result<std::string> source_path(const Import& import, const std::string& name) {
    const auto parts = clean_archive_path(name);
    if (!parts || parts->empty())
        return invalid_input("the file of the image names \"" + name + "\", which is no file");
    const std::string path = import.source + "/" + name;
    char resolved[PATH_MAX], base[PATH_MAX];
    struct stat status {};
    if (realpath(path.c_str(), resolved) == nullptr || realpath(import.source.c_str(), base) == nullptr ||
        stat(resolved, &status) != 0 || !S_ISREG(status.st_mode))
        return invalid_input("the file of the image lacks " + name);
    if (!std::string_view(resolved).starts_with(std::string(base) + "/"))
        return invalid_input("the file of the image names " + name + ", which lies outside of it");
    return std::string(resolved);
}

Result<std::string> take_blob(const Import& import, const std::string& digest) {
    const std::string stored = TRY(blob_path(import.layout, digest));
    if (file_exists(stored)) return digest;
    if (!oci::is_digest(digest) || !digest.starts_with("sha256:"))
        return invalid_input("blobs are named by sha256 only, not by " + digest);
    const std::string path = TRY(source_path(import, "blobs/sha256/" + digest.substr(7)));
    return store_blob(path, import.layout, digest, import.keep);
}

Result<void> take_image(const Import& import, const std::string& digest) {
    TRY(take_blob(import, digest));
    const std::string text = TRY(read_document(import.layout, digest));
    const std::string media_type = TRY(media_type_of(text));
    if (oci::is_index(media_type)) {
        const oci::Index index = TRY(oci::parse_index(text));
        size_t taken = 0;
        for (const oci::Descriptor& entry : index.manifests) {
            if (!oci::is_manifest(entry.media_type)) return invalid_input("an index of the file holds another index");
            if (!source_path(import, "blobs/sha256/" + entry.digest.substr(entry.digest.find(':') + 1))) continue;
            TRY(take_image(import, entry.digest));
            ++taken;
        }
        if (taken == 0) return invalid_input("the file holds an index, but none of its images");
        return {};
    }
    const oci::Manifest manifest = TRY(oci::parse_manifest(text));
    TRY(take_blob(import, manifest.config.digest));
    size_t number = 0;
    for (const oci::Descriptor& layer : manifest.layers) {
        import.say("Importing layer " + std::to_string(++number) + " of " + std::to_string(manifest.layers.size()));
        TRY(take_blob(import, layer.digest));
    }
    return {};
}

// A bare tag, as skopeo writes it, is not enough.
std::string name_of(const Json& annotations) {
    for (const char* key : {kContainerdName, kNameAnnotation}) {
        const std::string name = annotations[key].string_or("");
        if (name.find(':') != name.npos || name.find('/') != name.npos) return name;
    }
    return "";
}

Result<std::string> full_name(const std::string& name) {
    const oci::Reference reference = TRY(oci::parse_reference(name));
    return oci::to_string(reference);
}

Result<std::string> choose_name(const Import& import, const std::string& own) {
    const std::string& name = import.name.empty() ? own : import.name;
    if (name.empty()) return invalid_input("the file does not say what the image is called: give it a name");
    return full_name(name);
}

Result<std::vector<LayoutImage>> import_layout(const Import& import) {
    const std::string text = TRY(read_file(import.source + "/index.json", kMaxDocumentBytes));
    const oci::Index index = TRY(oci::parse_index(text));
    if (index.manifests.empty()) return invalid_input("the file holds no image");
    if (!import.name.empty() && index.manifests.size() != 1)
        return invalid_input("the file holds " + std::to_string(index.manifests.size()) +
                             " images: they cannot all have one name");
    std::vector<LayoutImage> images;
    for (const oci::Descriptor& entry : index.manifests) {
        LayoutImage image;
        image.reference = TRY(choose_name(import, name_of(entry.annotations)));
        TRY(take_image(import, entry.digest));
        const std::string document = TRY(read_document(import.layout, entry.digest));
        image.digest = entry.digest;
        image.media_type = TRY(media_type_of(document));
        images.push_back(std::move(image));
    }
    return images;
}

// The first bytes tell; what a layer is said to be does not matter here.
const char* layer_type(const std::string& path) {
    const auto file = open_file(path, O_RDONLY);
    unsigned char magic[2] = {};
    const bool gzip = file && read(file->get(), magic, 2) == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
    return gzip ? kOciTarGzip : kOciTar;
}

Json descriptor(const char* media_type, const std::string& digest, off_t size) {
    return Json::object({{"mediaType", media_type}, {"size", static_cast<uint64_t>(size)}, {"digest", digest}});
}

Result<Json> take_file(const Import& import, const std::string& name, bool is_layer) {
    const std::string path = TRY(source_path(import, name));
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) return error_from_errno("cannot read " + name);
    const char* media_type = is_layer ? layer_type(path) : kDockerConfig;
    // Two images of one file may share their layers, so nothing is moved away.
    const std::string digest = TRY(store_blob(path, import.layout, "", Keep::Original));
    return descriptor(media_type, digest, status.st_size);
}

Result<std::vector<LayoutImage>> import_saved(const Import& import) {
    const std::string text = TRY(read_file(import.source + "/manifest.json", kMaxDocumentBytes));
    const Json saved = TRY(Json::parse(text));
    if (saved.items().empty()) return invalid_input("the file holds no image");
    if (!import.name.empty() && saved.items().size() != 1)
        return invalid_input("the file holds " + std::to_string(saved.items().size()) +
                             " images: they cannot all have one name");
    std::vector<LayoutImage> images;
    for (const Json& entry : saved.items()) {
        Json layers = Json::array();
        for (const Json& layer : entry["Layers"].items()) {
            import.say("Importing layer " + std::to_string(layers.size() + 1) + " of " +
                       std::to_string(entry["Layers"].size()));
            Json taken = TRY(take_file(import, layer.string_or(""), true));
            layers.push_back(std::move(taken));
        }
        Json config = TRY(take_file(import, entry["Config"].string_or(""), false));
        const Json manifest = Json::object({{"schemaVersion", 2},
                                            {"mediaType", kDockerManifest},
                                            {"config", std::move(config)},
                                            {"layers", std::move(layers)}});
        const std::string digest = TRY(store_document(manifest.dump(), import.layout));
        std::vector<std::string> names;
        for (const Json& tag : entry["RepoTags"].items()) names.push_back(tag.string_or(""));
        if (!import.name.empty() || names.empty()) names = {""};
        for (const std::string& own : names) images.push_back({TRY(choose_name(import, own)), digest, kDockerManifest});
    }
    return images;
}

// Files of images hold files of their own kind only; layers are looked into when they are unpacked.
Result<void> unpack_file(const std::string& path, const std::string& folder) {
    const Fd file = TRY(open_file(path, O_RDONLY));
    struct stat status {};
    if (fstat(file.get(), &status) != 0) return error_from_errno("cannot read " + path);
    ArchiveLimits limits;
    limits.max_bytes = uint64_t{256} << 30;
    limits.max_ratio = 2000;
    return extract_archive(file.get(), static_cast<uint64_t>(status.st_size), folder, limits);
}

}  // namespace

Result<std::vector<LayoutImage>> ImageLayout::import(const std::string& path, const std::string& name,
                                                     const std::function<void(const std::string&)>& progress) {
    if (!name.empty()) TRY(full_name(name));
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) return error_from_errno("cannot read " + path);
    Import import{path, Keep::Original, folder_, name, progress};
    const std::string unpacked = folder_ + "/importing-" + system_random().hex(16);
    const auto work = [&]() -> Result<std::vector<LayoutImage>> {
        if (!S_ISDIR(status.st_mode)) {
            import.say("Reading " + path);
            TRY(make_directories(unpacked, 0700));
            TRY(unpack_file(path, unpacked));
            import.source = unpacked;
            import.keep = Keep::Nothing;
        }
        const Fd lock = TRY(lock_layout());
        const bool is_layout = file_exists(import.source + "/index.json");
        if (!is_layout && !file_exists(import.source + "/manifest.json"))
            return invalid_input("this is neither an OCI image layout nor what `docker save` writes");
        const std::vector<LayoutImage> images = TRY(is_layout ? import_layout(import) : import_saved(import));
        return add(images);
    };
    auto result = work();
    static_cast<void>(remove_tree(unpacked).has_value());
    return result;
}

}  // namespace millwright::executors
