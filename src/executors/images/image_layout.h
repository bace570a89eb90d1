// Images in files: the OCI image layout as a source of images, and the import of what `docker save`, `podman save`,
// `buildah push` and `skopeo copy` write.
//
//   <folder>/oci-layout, index.json, blobs/sha256/<hex>
//
// The index names each image by the annotation org.opencontainers.image.ref.name, with its whole reference.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "oci/image_source.h"

namespace millwright::executors {

struct LayoutImage {
    std::string reference, digest, media_type;
    uint64_t bytes = 0;  // of the manifest's blobs, as they are stored
};

// Thread-safe, also against other processes: writers hold a lock on <folder>/lock and replace index.json durably.
class ImageLayout : public oci::ImageSource {
  public:
    // Made when missing.
    static Result<std::unique_ptr<ImageLayout>> open(const std::string& folder);

    // "docker.io/", "library/" and "localhost/" before a name do not matter.
    Result<oci::FoundManifest> find_manifest(const oci::Reference& reference) override;
    Result<std::unique_ptr<oci::BlobReader>> open_blob(const oci::Reference& repository,
                                                       std::string_view digest) override;
    Result<bool> has_blob(std::string_view digest) override;

    Result<std::vector<LayoutImage>> list();
    // The name, and the blobs that no other image has. NotFound.
    Result<void> remove(const oci::Reference& reference);

    // `path`: an archive of an OCI layout or of `docker save` (plain or gzip), or a folder with an OCI layout. `name`:
    // what to call the image; required where the file does not say it in full, and only for a file with one image.
    // Every digest is checked. An image of the same name is replaced. InvalidInput says what is wrong with the file.
    Result<std::vector<LayoutImage>> import(const std::string& path, const std::string& name,
                                            const std::function<void(const std::string&)>& progress);

  private:
    explicit ImageLayout(std::string folder) : folder_(std::move(folder)) {}
    Result<Fd> lock_layout() const;
    Result<std::vector<LayoutImage>> add(const std::vector<LayoutImage>& images);
    std::string folder_;
};

}  // namespace millwright::executors
