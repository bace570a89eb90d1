// Removes images that have had their time by the lifecycle policies of their repositories.
//
// A round looks at every repository. It keeps nothing on disk but the time of the last look: a round that a restart
// cuts short begins again.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/time.h"
#include "registry/registry.h"
#include "resources/image_lifecycle/lifecycle_policy.h"

namespace millwright::resources {

// The document of a repository with its policy.
inline constexpr const char* kLifecyclePolicy = "lifecycle";

// All images of a repository, as a policy sees them.
Result<std::vector<LifecycleImage>> lifecycle_images(registry::Registry& registry,
                                                     const registry::RepositoryName& repository);
// When the worker last looked at the repository.
Result<std::optional<Timestamp>> last_lifecycle_round(registry::Registry& registry,
                                                      const registry::RepositoryName& repository);

class ImageLifecycleWorker {
  public:
    struct Settings {
        std::chrono::milliseconds day = std::chrono::hours(24);
        std::chrono::milliseconds pause = std::chrono::hours(1);  // between two rounds
    };
    // No thread; round() is called by the owner. `registry` and `clock` outlive the worker.
    ImageLifecycleWorker(registry::Registry& registry, const Clock& clock, Settings settings)
        : registry_(registry), clock_(clock), settings_(settings) {}

    // Looks at all repositories; how many images went.
    Result<size_t> round(const std::stop_token& stop = {});

    // A worker with a thread of its own.
    static std::unique_ptr<ImageLifecycleWorker> start(registry::Registry& registry, const Clock& clock,
                                                       Settings settings);

  private:
    Result<size_t> look_at(const registry::RepositoryName& repository);
    void run(const std::stop_token& stop);

    registry::Registry& registry_;
    const Clock& clock_;
    const Settings settings_;
    std::jthread thread_;  // last: it uses all the others
};

}  // namespace millwright::resources
