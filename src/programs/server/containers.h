// What runs images here, and what images are called: a container engine where there is one, namespaces of our own, the
// registry, imported files, and the user's aliases.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "executors/choice/choice.h"
#include "executors/container/container_runtime.h"
#include "executors/images/image_layout.h"
#include "executors/images/unpacked_images.h"
#include "programs/server/config.h"
#include "registry/registry.h"
#include "resources/identity/identity.h"
#include "resources/identity/registry_login.h"
#include "resources/images/image_names.h"
#include "resources/tags/tags.h"

namespace millwright::programs {

// Below the data directory.
inline constexpr const char* kImageAliases = "/image-aliases.json";
inline constexpr const char* kContainers = "/containers";  // state of the engine's runs
inline constexpr const char* kUnpackedImages = "/images";
inline constexpr const char* kImportedImages = "/images/imported";
inline constexpr const char* kApiSocket = "/api/api.sock";  // in a folder of its own, which engines may show around

// The engine of the configuration that answers; NotFound says where was looked.
Result<executors::FoundEngine> find_engine(const Config& config);

// Of the engine that the last server of the data directory used; NotFound.
Result<std::string> engine_socket_of(const Config& config);

// The members are in the order in which they are made; each uses only those above it. Thread-safe.
class Containers {
  public:
    // All outlive it. `processes` runs what the engine does not.
    struct Parts {
        const Config& config;
        std::string programs, registry_address;
        executors::Executor& processes;
        registry::Registry& registry;
        const resources::RegistryLogin& login;
        resources::Identity& identity;
        resources::Tags& tags;
    };
    static Result<std::unique_ptr<Containers>> open(const Parts& parts);

    executors::Executor& executor() { return *executor_; }
    resources::ImageNames& names() { return *names_; }
    executors::UnpackedImages* unpacked() { return unpacked_.get(); }  // null: this machine cannot run them

  private:
    Result<void> open_layers(const Parts& parts, executors::ChoiceParts& choice);
    Result<void> open_engine(const Parts& parts, executors::ChoiceParts& choice);

    std::unique_ptr<executors::ImageLayout> imported_;
    std::unique_ptr<executors::UnpackedImages> unpacked_;
    std::unique_ptr<executors::ContainerRuntime> engine_;
    std::unique_ptr<executors::Executor> executor_;
    std::unique_ptr<executors::Images> images_;
    std::unique_ptr<resources::ImageRepositories> repositories_;
    std::unique_ptr<resources::ImageAliases> aliases_;
    std::unique_ptr<resources::ImageNames> names_;
};

}  // namespace millwright::programs
