#include "executors/images/unpacked_images.h"

#include <algorithm>
#include <map>
#include <optional>
#include <stop_token>
#include <thread>

#include "base/log.h"
#include "base/mutex.h"
#include "executors/images/layer_store.h"
#include "oci/runnable.h"

namespace millwright::executors {
namespace {

constexpr size_t kMaxRemembered = 256;
constexpr auto kProgressPause = std::chrono::milliseconds(300);

struct Found {
    oci::ImageSource* source = nullptr;
    oci::FoundImage image;
};

std::string in_mib(uint64_t bytes) { return std::to_string((bytes + (1 << 19)) >> 20); }

class Unpacker : public UnpackedImages {
  public:
    Unpacker(UnpackSettings settings, std::unique_ptr<LayerStore> store)
        : settings_(std::move(settings)), store_(std::move(store)) {
        thread_ = std::jthread([this](const std::stop_token& stop) { sweep(stop); });
    }
    ~Unpacker() override {
        MutexLock lock(mutex_);
        thread_.request_stop();
        wake_.notify_all();
    }

    Result<void> look(const ImageRequest& request) override {
        auto found = TRY(find(request));
        TRY(oci::open_runnable(*found.source, std::move(found.image)));
        return {};
    }
    Result<bool> here(const ImageRequest& request) override {
        const auto found = find(request);
        if (!found && found.error().kind != ErrorKind::NotFound) return found.error();
        return found.has_value();
    }
    Result<RunImage> prepare(const ImageRequest& request, const ImageProgress& progress,
                             const std::function<bool()>& stop) override;
    std::vector<UnpackedLayer> layers() override { return store_->list(); }
    uint64_t remove_unused(std::chrono::seconds unused_for) override {
        return store_->remove_unused(unused_for, [](const UnpackedLayer&) { return false; });
    }
    Json describe() const override;

  private:
    Result<Found> find(const ImageRequest& request);
    std::optional<RunImage> remembered(const std::string& digest);
    Result<RunImage> unpack(const Found& found, const ImageProgress& progress, const std::function<bool()>& stop);
    bool is_of_an_image(const UnpackedLayer& layer);
    void sweep(const std::stop_token& stop);

    const UnpackSettings settings_;
    const std::unique_ptr<LayerStore> store_;
    struct Remembered {
        RunImage image;
        std::vector<std::string> digests;
    };
    Mutex mutex_;
    Condition wake_;
    std::map<std::string, Remembered> remembered_ GUARDED_BY(mutex_);  // by the manifest's digest
    std::jthread thread_;
};

// A name without a host may be one of an imported file, or a repository of the caller.
Result<Found> Unpacker::find(const ImageRequest& request) {
    std::vector<oci::Reference> names = {request.reference};
    if (request.reference.host.empty() && !request.account.empty()) {
        names.push_back(request.reference);
        names.back().host = request.account + ".dkr.ecr." + request.region + ".amazonaws.com";
    }
    for (oci::ImageSource* source : settings_.sources)
        for (const oci::Reference& name : names) {
            auto manifest = source->find_manifest(name);
            if (!manifest && manifest.error().kind != ErrorKind::NotFound &&
                manifest.error().kind != ErrorKind::InvalidInput)
                return manifest.error();
            if (!manifest) continue;
            auto image = TRY(oci::for_this_machine(*source, {name, std::move(*manifest)}));
            return Found{source, std::move(image)};
        }
    const std::string name = oci::to_string(request.reference);
    if (request.reference.host.empty() || oci::parse_ecr_host(request.reference.host))
        return not_found("there is no image " + name + ": nothing was pushed or imported under this name");
    return not_found("there is no image " + name +
                     ": without a container engine images of other registries cannot be pulled; push it to " +
                     "Millwright's registry, or use `millwright images import`");
}

// Without its layers it would have to be unpacked again.
std::optional<RunImage> Unpacker::remembered(const std::string& digest) {
    MutexLock lock(mutex_);
    const auto found = remembered_.find(digest);
    if (found == remembered_.end()) return std::nullopt;
    const Remembered& known = found->second;
    for (size_t i = 0; i < known.digests.size(); ++i)
        if (!store_->use(known.digests[i], known.image.config.diff_ids[i])) return std::nullopt;
    return known.image;
}

Result<RunImage> Unpacker::prepare(const ImageRequest& request, const ImageProgress& progress,
                                   const std::function<bool()>& stop) {
    const Found found = TRY(find(request));
    if (auto known = remembered(found.image.manifest.digest)) {
        known->reference = oci::to_string(request.reference);
        return *known;
    }
    RunImage image = TRY(unpack(found, progress, stop));
    image.reference = oci::to_string(request.reference);
    return image;
}

Result<RunImage> Unpacker::unpack(const Found& found, const ImageProgress& progress,
                                  const std::function<bool()>& stop) {
    const auto opened = TRY(oci::open_runnable(*found.source, found.image));
    const std::vector<oci::Descriptor>& layers = opened.manifest.layers;
    uint64_t total = 0, before = 0;
    for (const oci::Descriptor& layer : layers) total += layer.size;
    auto said = std::chrono::steady_clock::now() - kProgressPause;
    Remembered known;
    known.image.digest = found.image.manifest.digest;
    for (size_t i = 0; i < layers.size(); ++i) {
        const auto report = [&](uint64_t packed) -> Result<void> {
            if (stop && stop()) return Error{ErrorKind::Conflict, "the preparation of the image was stopped", ""};
            if (!progress || std::chrono::steady_clock::now() - said < kProgressPause) return {};
            said = std::chrono::steady_clock::now();
            progress("Unpacking " + std::to_string(i + 1) + " of " + std::to_string(layers.size()) + " layers, " +
                     in_mib(before + packed) + " of " + in_mib(total) + " MiB");
            return {};
        };
        TRY(store_->make({layers[i].digest, opened.config.diff_ids[i],
                          [&] { return found.source->open_blob(found.image.reference, layers[i].digest); }},
                         report));
        before += layers[i].size;
        known.digests.push_back(layers[i].digest);
        known.image.layers.push_back(store_->folder_of(layers[i].digest));
    }
    known.image.config = opened.config;
    MutexLock lock(mutex_);
    if (remembered_.size() >= kMaxRemembered) remembered_.clear();
    remembered_[known.image.digest] = known;
    return known.image;
}

// A source that cannot tell keeps it.
bool Unpacker::is_of_an_image(const UnpackedLayer& layer) {
    return std::any_of(settings_.sources.begin(), settings_.sources.end(), [&](oci::ImageSource* source) {
        const auto has = source->has_blob(layer.digest);
        return !has || *has;
    });
}

void Unpacker::sweep(const std::stop_token& stop) {
    for (;;) {
        {
            const auto next = std::chrono::steady_clock::now() + settings_.sweep_every;
            MutexLock lock(mutex_);
            while (!stop.stop_requested() && std::chrono::steady_clock::now() < next) wake_.wait_until(mutex_, next);
        }
        if (stop.stop_requested()) return;
        uint64_t freed =
            store_->remove_unused(settings_.keep_unused, [&](const UnpackedLayer&) { return stop.stop_requested(); });
        freed += store_->remove_unused(std::chrono::seconds(0), [&](const UnpackedLayer& layer) {
            return stop.stop_requested() ||
                   (store_->free_bytes() >= settings_.disk_reserve_bytes && is_of_an_image(layer));
        });
        if (freed > 0) log::info("removed unpacked images that nothing uses: " + in_mib(freed) + " MiB");
    }
}

Json Unpacker::describe() const {
    uint64_t bytes = 0, in_use = 0;
    const std::vector<UnpackedLayer> layers = store_->list();
    for (const UnpackedLayer& layer : layers) {
        bytes += layer.bytes;
        in_use += layer.in_use ? 1 : 0;
    }
    return Json::object({{"images", "unpacked by Millwright"},
                         {"folder", settings_.folder},
                         {"layers", static_cast<uint64_t>(layers.size())},
                         {"layers_in_use", in_use},
                         {"bytes", bytes},
                         {"owners", settings_.keep_owners ? "of the image" : "the user of the server"}});
}

}  // namespace

Result<std::unique_ptr<UnpackedImages>> make_unpacked_images(UnpackSettings settings) {
    auto store = TRY(LayerStore::open(settings));
    return std::unique_ptr<UnpackedImages>(std::make_unique<Unpacker>(std::move(settings), std::move(store)));
}

}  // namespace millwright::executors
