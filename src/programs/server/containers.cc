#include "programs/server/containers.h"

#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "executors/process/probe.h"
#include "programs/server/image_repositories.h"
#include "resources/prebuilt_images/prebuilt_images.h"

namespace millwright::programs {
namespace {

using executors::ContainerRuntime;
using executors::ContainerSettings;
using executors::EngineKind;
using executors::EngineLogin;
using executors::EngineWish;

constexpr const char* kLastSocket = "/containers/last-socket";  // of the engine that may still have runs

EngineWish wish_of(ContainerEngineWish wish) {
    switch (wish) {
        case ContainerEngineWish::Auto:
            return EngineWish::Preferred;
        case ContainerEngineWish::Docker:
        case ContainerEngineWish::Podman:
            return EngineWish::Required;
        case ContainerEngineWish::None:
            break;
    }
    return EngineWish::Unwanted;
}

// The engine pulls for a job whose role was asked already: as the account that the repository belongs to.
Result<EngineLogin> log_in(const resources::Identity& identity, const std::vector<resources::RootCredentials>& accounts,
                           const resources::RegistryLogin& login, const executors::ImageRequest& request) {
    const auto host = oci::parse_ecr_host(request.reference.host);
    const auto owner = host ? host->account : request.account;
    for (const auto& account : accounts) {
        if (account.account != owner) continue;
        const auto root = identity.find_credential(account.access_key_id);
        if (!root) break;
        auto caller = root->caller;
        caller.region = host ? host->region : request.region;
        auto token = TRY(login.issue(caller));
        return EngineLogin{std::string(resources::kRegistryUser), std::move(token.password)};
    }
    return not_found("there is no account " + owner + " here");
}

Result<EngineLogin> login_of_file(const RegistryLogin& login) {
    constexpr size_t kMost = size_t{1} << 16;
    const auto text = TRY(read_file(login.password_file, kMost));
    return EngineLogin{login.user, text.substr(0, text.find_first_of("\r\n"))};
}

ContainerSettings engine_settings(const Containers::Parts& parts, const std::string& socket) {
    const auto& config = parts.config;
    ContainerSettings settings;
    settings.socket = socket;
    settings.state_folder = config.data_dir + kContainers;
    settings.gate_program = parts.programs + "/millwright-gate";
    settings.api_socket = config.data_dir + kApiSocket;
    settings.registry_address = parts.registry_address;
    settings.registry = &parts.registry;
    settings.log_in = [&identity = parts.identity,
                       &login = parts.login](const executors::ImageRequest& request) -> Result<EngineLogin> {
        const auto accounts = TRY(identity.accounts());
        return log_in(identity, accounts, login, request);
    };
    for (const auto& [host, login] : config.registries)
        settings.logins[host] = [login = login] { return login_of_file(login); };
    return settings;
}

}  // namespace

Result<executors::FoundEngine> find_engine(const Config& config) {
    std::vector<std::string> sockets{config.container_socket};
    if (config.container_socket.empty()) sockets = executors::engine_sockets();
    std::string why;
    for (const auto& socket : sockets) {
        auto found = executors::ask_engine(socket);
        const bool other =
            found && ((config.container_engine == ContainerEngineWish::Docker && found->kind != EngineKind::Docker) ||
                      (config.container_engine == ContainerEngineWish::Podman && found->kind != EngineKind::Podman));
        if (found && !other) return found;
        why += (why.empty() ? "" : "; ") + (found ? socket + " is another engine's" : found.error().message);
    }
    return not_found("no container engine was found" + (why.empty() ? "" : " (" + why + ")"));
}

Result<std::string> engine_socket_of(const Config& config) {
    const auto text = read_file(config.data_dir + kLastSocket);
    if (!text) return not_found("no container engine was used here");
    return std::string(trim(*text));
}

Result<void> Containers::open_engine(const Parts& parts, executors::ChoiceParts& choice) {
    const std::string last = parts.config.data_dir + kLastSocket;
    std::string socket;
    if (parts.config.container_engine != ContainerEngineWish::None) {
        if (const auto found = find_engine(parts.config)) {
            socket = found->socket;
            log::info("container engine: " + std::string(found->kind == EngineKind::Podman ? "Podman " : "Docker ") +
                      found->version + " at " + socket);
        } else {
            choice.why_no_engine = found.error().message;
        }
    } else {
        choice.why_no_engine = "container engines are switched off (containers.engine)";
    }
    // One that is away may come back, and have runs of ours.
    if (socket.empty()) socket = parts.config.container_socket;
    if (socket.empty()) socket = engine_socket_of(parts.config).value_or("");
    if (socket.empty()) return {};
    TRY(make_directories(parts.config.data_dir + kContainers, 0700));
    TRY(make_directories(parts.config.data_dir + "/api", 0700));
    engine_ = TRY(ContainerRuntime::make(engine_settings(parts, socket)));
    TRY(replace_file_durably(last, socket + "\n", 0600));
    choice.engine.emplace(
        executors::ContainerEngine{engine_->executor(), engine_->images(), [this] { return engine_->works(); }});
    return {};
}

Result<void> Containers::open_layers(const Parts& parts, executors::ChoiceParts& choice) {
    const auto tier = parts.processes.describe()["tier"].string_or("");
    if (tier == executors::to_string(executors::Tier::None)) {
        choice.why_no_layers = "it does not let Millwright isolate jobs (millwright doctor tells more)";
        return {};
    }
    imported_ = TRY(executors::ImageLayout::open(parts.config.data_dir + kImportedImages));
    executors::UnpackSettings unpacking;
    unpacking.folder = parts.config.data_dir + kUnpackedImages;
    unpacking.sources = {&parts.registry, imported_.get()};
    unpacking.keep_owners = tier == executors::to_string(executors::Tier::T1r);
    unpacked_ = TRY(executors::make_unpacked_images(std::move(unpacking)));
    choice.layers = unpacked_.get();
    return {};
}

Result<std::unique_ptr<Containers>> Containers::open(const Parts& parts) {
    auto made = std::make_unique<Containers>();
    const std::string& folder = parts.config.data_dir;
    executors::ChoiceParts choice{.processes = parts.processes, .wish = wish_of(parts.config.container_engine)};
    if (auto opened = made->open_engine(parts, choice); !opened) {
        log::warning("the container engine cannot be used", opened.error());
        choice.why_no_engine = opened.error().message;
    }
    TRY(made->open_layers(parts, choice));
    made->executor_ = executors::choose_executor(choice);
    made->images_ = executors::choose_images(choice);
    made->repositories_ = image_repositories(parts.registry, parts.tags);
    made->aliases_ = std::make_unique<resources::ImageAliases>(folder + kImageAliases);
    made->names_ = std::make_unique<resources::ImageNames>(
        resources::ImageNames::Parts{*made->repositories_, *made->images_, parts.identity, *made->aliases_,
                                     resources::prebuilt_references, choice.layers == nullptr});
    return made;
}

}  // namespace millwright::programs
