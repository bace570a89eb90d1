// Unpacked layers on the disk: made once, found again by a restarted server, removed when nobody needs them. The
// folders are described in unpacked_images.h.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/mutex.h"
#include "executors/images/unpack.h"
#include "executors/images/unpacked_images.h"

namespace millwright::executors {

struct WantedLayer {
    std::string digest, diff_id;
    std::function<Result<std::unique_ptr<oci::BlobReader>>()> open;
};

// Thread-safe; several processes may use one folder.
class LayerStore {
  public:
    static Result<std::unique_ptr<LayerStore>> open(const UnpackSettings& settings);

    // What a run mounts.
    std::string folder_of(const std::string& digest) const;
    // True when the layer is there; it counts as used now.
    bool use(const std::string& digest, const std::string& diff_id);
    // Unpacks it. When another thread is at it, waits for that. `progress` gets the packed bytes read so far.
    Result<void> make(const WantedLayer& layer, const UnpackProgress& progress);

    std::vector<UnpackedLayer> list();
    // See UnpackedImages::remove_unused. `wanted` says of each layer whether it is to be kept all the same.
    uint64_t remove_unused(std::chrono::seconds unused_for, const std::function<bool(const UnpackedLayer&)>& wanted);
    uint64_t free_bytes() const;

  private:
    explicit LayerStore(const UnpackSettings& settings);
    std::string place_of(const std::string& digest) const;
    Result<void> unpack(const WantedLayer& layer, const UnpackProgress& progress);
    Result<Fd> begin(std::string& folder) const;
    void remove_unfinished() const;
    bool take_away(const UnpackedLayer& layer, std::string& removed);

    const std::string folder_;
    const UnpackLimits limits_;
    const std::chrono::seconds grace_;
    Mutex mutex_;
    Condition changed_;
    std::set<std::string> being_made_ GUARDED_BY(mutex_);
};

}  // namespace millwright::executors
