#include "executors/images/image_layout.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/digest.h"
#include "base/encoding.h"
#include "base/files.h"
#include "base/json.h"
#include "base/random.h"
#include "executors/images/layout_files.h"
#include "oci/image.h"

namespace millwright::executors {
namespace layout_files {

Result<std::string> blob_path(const std::string& folder, std::string_view digest) {
    if (!oci::is_digest(digest) || !digest.starts_with("sha256:"))
        return invalid_input("blobs are named by sha256 only, not by " + std::string(digest.substr(0, 200)));
    return folder + "/blobs/sha256/" + std::string(digest.substr(7));
}

Result<std::string> read_document(const std::string& folder, std::string_view digest) {
    const std::string path = TRY(blob_path(folder, digest));
    auto text = read_file(path, oci::kMaxManifestBytes);
    if (!text) return text.error();
    if ("sha256:" + sha256_hex(*text) != digest)
        return invalid_input("the blob " + std::string(digest) + " is damaged: it has another digest");
    return text;
}

Result<std::string> store_blob(const std::string& path, const std::string& folder, const std::string& expected,
                               Keep keep) {
    const std::string blobs = folder + "/blobs/sha256";
    TRY(make_directories(blobs, 0700));
    const std::string next = blobs + "/.new-" + system_random().hex(16);
    const Fd from = TRY(open_file(path, O_RDONLY));
    Fd to = keep == Keep::Original ? TRY(open_file(next, O_WRONLY | O_CREAT | O_EXCL, 0600)) : Fd();
    Digest digest(DigestKind::Sha256);
    std::vector<char> buffer(size_t{1} << 18);
    const auto copy = [&]() -> Result<void> {
        for (;;) {
            const ssize_t got = read(from.get(), buffer.data(), buffer.size());
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return error_from_errno("cannot read " + path);
            if (got == 0) return {};
            digest.update({buffer.data(), static_cast<size_t>(got)});
            if (to) TRY(write_all(to.get(), {buffer.data(), static_cast<size_t>(got)}));
        }
    };
    auto copied = copy();
    const std::string found = "sha256:" + to_hex(digest.finish());
    if (copied && !expected.empty() && found != expected)
        copied = invalid_input("the file of the image is damaged: " + expected + " has the digest " + found);
    const std::string target = blobs + "/" + found.substr(7);
    if (copied && rename(to ? next.c_str() : path.c_str(), target.c_str()) != 0)
        copied = error_from_errno("cannot store a blob");
    if (!copied) {
        unlink(next.c_str());
        return copied.error();
    }
    chmod(target.c_str(), 0600);
    return found;
}

Result<std::string> store_document(const std::string& text, const std::string& folder) {
    const std::string digest = "sha256:" + sha256_hex(text);
    const std::string path = TRY(blob_path(folder, digest));
    TRY(make_directories(folder + "/blobs/sha256", 0700));
    TRY(write_file(path, text, 0600));
    return digest;
}

Result<std::string> media_type_of(const std::string& document) {
    const auto json = Json::parse(document);
    if (!json || !json->is_object()) return invalid_input("a manifest of the image is not JSON");
    const std::string said = (*json)["mediaType"].string_or("");
    if (!said.empty()) return said;
    return std::string((*json)["manifests"].is_array() ? "application/vnd.oci.image.index.v1+json"
                                                       : "application/vnd.oci.image.manifest.v1+json");
}

Result<Contents> contents_of(const std::string& folder, const std::string& digest) {
    Contents contents;
    const std::string text = TRY(read_document(folder, digest));
    contents.digests.insert(digest);
    contents.bytes = text.size();
    const std::string media_type = TRY(media_type_of(text));
    if (!oci::is_index(media_type)) {
        const oci::Manifest manifest = TRY(oci::parse_manifest(text));
        std::vector<oci::Descriptor> parts = manifest.layers;
        parts.push_back(manifest.config);
        for (const oci::Descriptor& part : parts)
            if (contents.digests.insert(part.digest).second) contents.bytes += part.size;
        return contents;
    }
    const oci::Index index = TRY(oci::parse_index(text));
    for (const oci::Descriptor& entry : index.manifests) {
        const std::string path = TRY(blob_path(folder, entry.digest));
        if (!file_exists(path)) continue;  // of another platform, left out by who wrote the file
        if (!oci::is_manifest(entry.media_type)) return invalid_input("an index of the image holds another index");
        const Contents part = TRY(contents_of(folder, entry.digest));
        contents.digests.insert(part.digests.begin(), part.digests.end());
        contents.bytes += part.bytes;
    }
    return contents;
}

}  // namespace layout_files

namespace {

using namespace layout_files;

constexpr size_t kMaxIndexBytes = size_t{16} << 20;

class FileReader : public oci::BlobReader {
  public:
    FileReader(Fd file, uint64_t size) : file_(std::move(file)), size_(size) {}
    uint64_t size() const override { return size_; }
    Result<size_t> read(char* buffer, size_t size) override {
        for (;;) {
            const ssize_t got = ::read(file_.get(), buffer, size);
            if (got >= 0) return static_cast<size_t>(got);
            if (errno != EINTR) return error_from_errno("cannot read a blob");
        }
    }

  private:
    Fd file_;
    uint64_t size_;
};

// Engines call the same image "busybox", "docker.io/library/busybox" and "localhost/busybox".
oci::Reference plain(oci::Reference reference) {
    const std::string& host = reference.host;
    const bool hub = host == "docker.io" || host == "index.docker.io" || host == "registry-1.docker.io";
    if (hub && reference.repository.starts_with("library/")) reference.repository.erase(0, 8);
    if (hub || host == "localhost") reference.host.clear();
    return reference;
}

bool same_name(const oci::Reference& a, const oci::Reference& b) {
    const oci::Reference left = plain(a), right = plain(b);
    return left.host == right.host && left.repository == right.repository && left.tag == right.tag;
}

Result<std::vector<LayoutImage>> read_index(const std::string& folder) {
    std::vector<LayoutImage> images;
    const auto text = read_file(folder + "/index.json", kMaxIndexBytes);
    if (!text && text.error().kind == ErrorKind::NotFound) return images;
    if (!text) return text.error();
    const oci::Index index = TRY(oci::parse_index(*text));
    for (const oci::Descriptor& entry : index.manifests)
        images.push_back({entry.annotations[kNameAnnotation].string_or(""), entry.digest, entry.media_type});
    return images;
}

Result<void> write_index(const std::string& folder, const std::vector<LayoutImage>& images) {
    Json manifests = Json::array();
    for (const LayoutImage& image : images) {
        const std::string path = TRY(blob_path(folder, image.digest));
        struct stat status {};
        if (stat(path.c_str(), &status) != 0) return error_from_errno("cannot read the manifest of " + image.reference);
        manifests.push_back(Json::object({{"mediaType", image.media_type},
                                          {"digest", image.digest},
                                          {"size", static_cast<uint64_t>(status.st_size)},
                                          {"annotations", Json::object({{kNameAnnotation, image.reference}})}}));
    }
    const Json index = Json::object({{"schemaVersion", 2},
                                     {"mediaType", "application/vnd.oci.image.index.v1+json"},
                                     {"manifests", std::move(manifests)}});
    return replace_file_durably(folder + "/index.json", index.dump());
}

void remove_unnamed_blobs(const std::string& folder, const std::vector<LayoutImage>& images) {
    std::set<std::string> needed;
    for (const LayoutImage& image : images) {
        const auto contents = contents_of(folder, image.digest);
        if (!contents) return;  // what cannot be read is not judged
        needed.insert(contents->digests.begin(), contents->digests.end());
    }
    const std::string blobs = folder + "/blobs/sha256";
    const std::unique_ptr<DIR, int (*)(DIR*)> list(opendir(blobs.c_str()), closedir);
    while (const dirent* entry = list ? readdir(list.get()) : nullptr)
        if (const std::string name = entry->d_name; name != "." && name != ".." && !needed.contains("sha256:" + name))
            unlink((blobs + "/" + name).c_str());
}

}  // namespace

Result<std::unique_ptr<ImageLayout>> ImageLayout::open(const std::string& folder) {
    TRY(make_directories(folder + "/blobs/sha256", 0700));
    if (!file_exists(folder + "/oci-layout"))
        TRY(write_file(folder + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
    return std::unique_ptr<ImageLayout>(new ImageLayout(folder));
}

// Writers wait for each other: the work under it is short.
Result<Fd> ImageLayout::lock_layout() const {
    Fd file = TRY(open_file(folder_ + "/lock", O_RDWR | O_CREAT, 0600));
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    while (fcntl(file.get(), F_OFD_SETLKW, &lock) != 0)
        if (errno != EINTR) return error_from_errno("cannot lock " + folder_);
    return file;
}

Result<oci::FoundManifest> ImageLayout::find_manifest(const oci::Reference& reference) {
    const std::vector<LayoutImage> images = TRY(read_index(folder_));
    const oci::Reference wanted = plain(reference);
    for (const LayoutImage& image : images) {
        const auto name = oci::parse_reference(image.reference);
        if (!name) continue;
        if (!reference.digest.empty()) {
            const oci::Reference known = plain(*name);
            if (known.host != wanted.host || known.repository != wanted.repository) continue;
            const auto contents = contents_of(folder_, image.digest);
            if (!contents || !contents->digests.contains(reference.digest)) continue;
        } else if (!same_name(*name, reference)) {
            continue;
        }
        const std::string digest = reference.digest.empty() ? image.digest : reference.digest;
        std::string text = TRY(read_document(folder_, digest));
        std::string media_type = TRY(media_type_of(text));
        return oci::FoundManifest{digest, std::move(media_type), std::move(text)};
    }
    return not_found("no image " + oci::to_string(reference) + " was imported");
}

Result<std::unique_ptr<oci::BlobReader>> ImageLayout::open_blob(const oci::Reference&, std::string_view digest) {
    const std::string path = TRY(blob_path(folder_, digest));
    Fd file = TRY(open_file(path, O_RDONLY));
    struct stat status {};
    if (fstat(file.get(), &status) != 0) return error_from_errno("cannot read the blob " + std::string(digest));
    return std::unique_ptr<oci::BlobReader>(
        std::make_unique<FileReader>(std::move(file), static_cast<uint64_t>(status.st_size)));
}

Result<bool> ImageLayout::has_blob(std::string_view digest) {
    const auto path = blob_path(folder_, digest);
    return path && file_exists(*path);
}

Result<std::vector<LayoutImage>> ImageLayout::list() {
    std::vector<LayoutImage> images = TRY(read_index(folder_));
    for (LayoutImage& image : images) {
        const auto contents = contents_of(folder_, image.digest);
        if (contents) image.bytes = contents->bytes;
    }
    return images;
}

Result<void> ImageLayout::remove(const oci::Reference& reference) {
    const Fd lock = TRY(lock_layout());
    std::vector<LayoutImage> images = TRY(read_index(folder_));
    const size_t removed = std::erase_if(images, [&](const LayoutImage& image) {
        const auto name = oci::parse_reference(image.reference);
        return name && same_name(*name, reference) && (reference.digest.empty() || reference.digest == image.digest);
    });
    if (removed == 0) return not_found("no image " + oci::to_string(reference) + " was imported");
    TRY(write_index(folder_, images));
    remove_unnamed_blobs(folder_, images);
    return {};
}

// With the lock of the layout held.
Result<std::vector<LayoutImage>> ImageLayout::add(const std::vector<LayoutImage>& added) {
    std::vector<LayoutImage> images = TRY(read_index(folder_));
    for (const LayoutImage& image : added) {
        const oci::Reference name = TRY(oci::parse_reference(image.reference));
        std::erase_if(images, [&](const LayoutImage& other) {
            const auto known = oci::parse_reference(other.reference);
            return known && same_name(*known, name);
        });
        images.push_back(image);
    }
    const Fd folder = TRY(open_file(folder_, O_RDONLY | O_DIRECTORY));
    if (syncfs(folder.get()) != 0) return error_from_errno("cannot write the image to the disk");
    TRY(write_index(folder_, images));
    remove_unnamed_blobs(folder_, images);
    return added;
}

}  // namespace millwright::executors
