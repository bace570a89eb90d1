#include "resources/image_lifecycle/lifecycle_worker.h"

#include <set>

#include "base/log.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "oci/image.h"

namespace millwright::resources {

using registry::Registry;
using registry::RepositoryName;

namespace {

constexpr const char* kLastRound = "lifecycle round";  // a document: milliseconds
constexpr size_t kPage = 500;

// Gone, tagged, or pushed anew since we looked: not what the policy judged.
Result<bool> is_unchanged(Registry& registry, const RepositoryName& repository, const LifecycleImage& image) {
    const auto now = registry.find_image(repository, {"", image.digest});
    if (!now && now.error().kind == ErrorKind::NotFound) return false;
    if (!now) return now.error();
    return now->image.tags == image.tags && now->image.pushed == image.pushed;
}

}  // namespace

Result<std::vector<LifecycleImage>> lifecycle_images(Registry& registry, const RepositoryName& repository) {
    std::vector<LifecycleImage> images;
    std::set<std::string> named;  // by an index
    std::string after;
    for (;;) {
        const auto page = TRY(registry.list_images(repository, {after, kPage}));
        for (const registry::Image& image : page) {
            images.push_back({image.digest, image.tags, image.pushed, image.pulled, false});
            if (!oci::is_index(image.media_type)) continue;
            const auto stored = registry.find_image(repository, {"", image.digest});
            const auto index = stored ? oci::parse_index(stored->text) : Result<oci::Index>(stored.error());
            if (!index) continue;
            for (const oci::Descriptor& child : index->manifests) named.insert(child.digest);
        }
        if (page.size() < kPage) break;
        after = page.back().digest;
    }
    for (LifecycleImage& image : images) image.named_by_index = named.count(image.digest) > 0;
    return images;
}

Result<std::optional<Timestamp>> last_lifecycle_round(Registry& registry, const RepositoryName& repository) {
    const auto text = TRY(registry.document(repository, kLastRound));
    const auto milliseconds = text ? parse_int(*text) : std::nullopt;
    if (!milliseconds) return std::optional<Timestamp>();
    return std::optional(from_epoch_milliseconds(*milliseconds));
}

std::unique_ptr<ImageLifecycleWorker> ImageLifecycleWorker::start(Registry& registry, const Clock& clock,
                                                                  Settings settings) {
    auto worker = std::make_unique<ImageLifecycleWorker>(registry, clock, settings);
    worker->thread_ = std::jthread([raw = worker.get()](const std::stop_token& stop) { raw->run(stop); });
    return worker;
}

Result<size_t> ImageLifecycleWorker::look_at(const RepositoryName& repository) {
    const auto text = TRY(registry_.document(repository, kLifecyclePolicy));
    if (!text) return size_t{0};
    const auto policy = TRY(parse_image_lifecycle_policy(*text));
    const auto images = TRY(lifecycle_images(registry_, repository));
    size_t removed = 0;
    for (const ExpiringImage& found : expiring_images(policy, images, clock_.now(), settings_.day)) {
        const LifecycleImage& image = images[found.image];
        if (!TRY(is_unchanged(registry_, repository, image))) continue;
        const auto gone = registry_.remove_image(repository, image.digest, Registry::Referenced::Refuse);
        // Meanwhile an index may have come that names it.
        if (!gone && gone.error().kind != ErrorKind::Conflict && gone.error().kind != ErrorKind::NotFound)
            return gone.error();
        if (gone) ++removed;
    }
    TRY(registry_.set_document(repository, kLastRound, std::to_string(to_epoch_milliseconds(clock_.now()))));
    return removed;
}

Result<size_t> ImageLifecycleWorker::round(const std::stop_token& stop) {
    size_t removed = 0;
    int64_t after = 0;
    for (;;) {
        const auto page = TRY(registry_.all_repositories(after, kPage));
        for (const registry::Repository& repository : page) {
            if (stop.stop_requested()) return removed;
            const auto count = look_at(repository.name);
            if (count)
                removed += *count;
            else if (count.error().kind != ErrorKind::NotFound)
                log::warning("lifecycle of " + repository.name.name, count.error());
        }
        if (page.size() < kPage) return removed;
        after = page.back().id;
    }
}

void ImageLifecycleWorker::run(const std::stop_token& stop) {
    Mutex mutex;
    Condition stopped;
    const std::stop_callback wake(stop, [&] {
        const MutexLock lock(mutex);
        stopped.notify_all();
    });
    auto wall = clock_.now();
    auto steady = std::chrono::steady_clock::now();
    while (!stop.stop_requested()) {
        // What ends too early cannot be brought back. So a clock that leaps ahead is believed one pause later, when
        // somebody may have set it right.
        const auto wall_now = clock_.now();
        const auto steady_now = std::chrono::steady_clock::now();
        const auto leap =
            (wall_now - wall) - std::chrono::duration_cast<std::chrono::milliseconds>(steady_now - steady);
        wall = wall_now;
        steady = steady_now;
        const auto done = leap > std::chrono::hours(24) ? Result<size_t>(size_t{0}) : round(stop);
        if (!done) log::warning("lifecycle of images", done.error());
        const auto next = std::chrono::steady_clock::now() + settings_.pause;
        const MutexLock lock(mutex);
        while (!stop.stop_requested() && stopped.wait_until(mutex, next)) continue;
    }
}

}  // namespace millwright::resources
