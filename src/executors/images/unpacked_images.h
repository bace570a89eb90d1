// Images without a container engine: manifests and blobs come from image sources (our registry, imported files), layers
// are unpacked once and shared by all runs, which mount them below a writable layer of their own.
//
//   <folder>/layers/<digest of the blob>[-owners]/root    the unpacked layer, never written again
//                                      /lock    locked (shared) by the launchers of runs that use it; its time of
//                                               change is the last use
//                                      /layer.json  {"diff_id", "bytes", "files"}
//   <folder>/unpacking/<random>   being made (then its lock is held) or being removed
//   <folder>/imported             an OCI image layout, see image_layout.h
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "executors/images.h"
#include "oci/image_source.h"

namespace millwright::executors {

struct UnpackSettings {
    std::string folder;  // "<data>/images", on the disk of the runs; made when missing
    // Asked in this order; they outlive the object.
    std::vector<oci::ImageSource*> sources;
    // Layers that no living run uses go this long after their last use; sooner those that no image has any more, and,
    // the oldest first, all such layers when less than `disk_reserve_bytes` is free. Never within `grace`: a run may be
    // about to start.
    std::chrono::seconds keep_unused = std::chrono::hours(7 * 24);
    std::chrono::seconds grace = std::chrono::hours(1);
    std::chrono::seconds sweep_every = std::chrono::minutes(10);
    // Unpacking stops when less is free: the disk belongs to jobs and objects too.
    uint64_t disk_reserve_bytes = uint64_t{1} << 30;
    uint64_t max_layer_bytes = uint64_t{64} << 30;  // unpacked
    // Files keep the users and groups of the image: only where runs are made by root without a user namespace (tier
    // T1r). Otherwise everything belongs to the user of the server.
    bool keep_owners = false;
};

struct UnpackedLayer {
    std::string digest;  // of the blob
    std::string folder;
    uint64_t bytes = 0, files = 0;
    std::chrono::system_clock::time_point used;
    bool in_use = false;  // by a living run
};

class UnpackedImages : public Images {
  public:
    // What is unpacked, for `millwright images list`.
    virtual std::vector<UnpackedLayer> layers() = 0;
    // Removes layers that no run uses and that nobody has asked for during `unused_for` (or the grace); what sweeps do
    // by themselves. Returns the bytes that were freed.
    virtual uint64_t remove_unused(std::chrono::seconds unused_for) = 0;
    virtual Json describe() const = 0;
};

// A thread of its own removes what is no longer needed.
Result<std::unique_ptr<UnpackedImages>> make_unpacked_images(UnpackSettings settings);

}  // namespace millwright::executors
