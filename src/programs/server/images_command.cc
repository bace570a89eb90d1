#include "programs/server/images_command.h"

#include <cinttypes>
#include <cstdio>

#include "base/encoding.h"
#include "base/json.h"
#include "executors/images/image_layout.h"
#include "net/http_client.h"
#include "programs/server/containers.h"
#include "programs/server/control_socket.h"
#include "resources/images/image_aliases.h"
#include "resources/prebuilt_images/image_builder.h"

namespace millwright::programs {
namespace {

using Action = ImagesArguments::Action;

Result<Json> ask_server(const Config& config, const char* method, const std::string& path) {
    constexpr std::chrono::minutes kLongest{2};  // freeing many layers takes its time
    const auto client = net::HttpClient::unix_socket(config.data_dir + "/" + kControlSocket);
    const auto answer = client->call(method, path, {}, "", kLongest);
    if (!answer && answer.error().kind == ErrorKind::Unavailable)
        return Error{ErrorKind::Unavailable, "no server is running with " + config.data_dir, answer.error().detail};
    if (!answer) return answer.error();
    auto document = TRY(Json::parse(answer->body));
    constexpr int kFine = 200, kMissing = 404;
    if (answer->status == kFine) return document;
    return Error{answer->status == kMissing ? ErrorKind::NotFound : ErrorKind::Conflict,
                 document["message"].string_or("the server answered " + std::to_string(answer->status)), ""};
}

std::string size_text(int64_t bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / 1e6);
    return text;
}

Result<std::unique_ptr<resources::ImageBuilder>> engine_of(const Config& config) {
    if (config.container_engine == ContainerEngineWish::None) return not_found("containers.engine is none");
    const auto engine = TRY(find_engine(config));
    return resources::ImageBuilder::open(engine.socket);
}

// What `millwright images build` made; nothing without an engine.
std::vector<Json> built_images(const Config& config) {
    std::vector<Json> built;
    const auto engine = engine_of(config);
    const auto found = engine ? (*engine)->list() : Result<std::vector<resources::ListedImage>>(engine.error());
    if (!found) return built;
    for (const auto& image : *found)
        built.push_back(Json::object({{"name", image.name},
                                      {"where", "engine"},
                                      {"digest", image.id},
                                      {"bytes", static_cast<int64_t>(image.bytes)}}));
    return built;
}

// Imported, built by us, or of the registry, which the server has.
Result<void> remove_image(const Config& config, executors::ImageLayout& layout, const std::string& name) {
    const auto reference = TRY(oci::parse_reference(name));
    auto removed = layout.remove(reference);
    if (!removed && removed.error().kind == ErrorKind::NotFound)
        if (const auto engine = engine_of(config)) removed = (*engine)->remove(name);
    if (removed || removed.error().kind != ErrorKind::NotFound) return removed;
    TRY(ask_server(config, "POST", "/images/remove?name=" + percent_encode(name)));
    return {};
}

Result<Json> everything(const Config& config) {
    auto images = Json::array();
    auto all = Json::object();
    if (const auto served = ask_server(config, "GET", "/images")) {
        for (const auto& image : (*served)["images"].items()) images.push_back(image);
        all.set("layers", (*served)["layers"]);
    } else if (served.error().kind != ErrorKind::Unavailable) {
        return served.error();
    } else {
        all.set("note", "No server is running: what is in the registry is not shown.");
    }
    for (auto& image : built_images(config)) images.push_back(std::move(image));
    const auto layout = TRY(executors::ImageLayout::open(config.data_dir + kImportedImages));
    for (const auto& image : TRY(layout->list()))
        images.push_back(Json::object({{"name", image.reference},
                                       {"where", "imported"},
                                       {"digest", image.digest},
                                       {"bytes", static_cast<int64_t>(image.bytes)}}));
    auto aliases = Json::object();
    for (const auto& [name, target] : TRY(resources::ImageAliases(config.data_dir + kImageAliases).all()))
        aliases.set(name, target);
    all.set("images", std::move(images));
    all.set("aliases", std::move(aliases));
    return all;
}

Result<void> list(const Config& config, const ImagesArguments& arguments) {
    const auto all = TRY(everything(config));
    if (arguments.json) {
        std::puts(all.dump().c_str());
        return {};
    }
    std::printf("%-72s %-9s %10s  %s\n", "IMAGE", "WHERE", "SIZE", "DIGEST");
    for (const auto& image : all["images"].items())
        std::printf("%-72s %-9s %10s  %.19s\n", image["name"].string_or("").c_str(),
                    image["where"].string_or("").c_str(), size_text(image["bytes"].int_or(0)).c_str(),
                    image["digest"].string_or("").c_str());
    if (all["aliases"].size() > 0) std::puts("");
    for (const auto& [name, target] : all["aliases"].members())
        std::printf("%s means %s\n", name.c_str(), target.string_or("").c_str());
    if (const auto& layers = all["layers"]; layers["count"].int_or(0) > 0)
        std::printf("\n%" PRId64 " layers are unpacked, %s; %s of them nobody uses\n", layers["count"].int_or(0),
                    size_text(layers["bytes"].int_or(0)).c_str(), size_text(layers["unused_bytes"].int_or(0)).c_str());
    if (const auto note = all["note"].string_or(""); !note.empty()) std::fprintf(stderr, "%s\n", note.c_str());
    return {};
}

Result<void> alias(const Config& config, const ImagesArguments& arguments) {
    resources::ImageAliases aliases(config.data_dir + kImageAliases);
    if (arguments.remove) return aliases.remove(arguments.name);
    if (!arguments.target.empty()) return aliases.set(arguments.name, arguments.target);
    for (const auto& [name, target] : TRY(aliases.all()))
        if (arguments.name.empty() || arguments.name == name)
            std::printf("%s means %s\n", name.c_str(), target.c_str());
    return {};
}

Result<void> import(const Config& config, const ImagesArguments& arguments) {
    const auto layout = TRY(executors::ImageLayout::open(config.data_dir + kImportedImages));
    const auto tell = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
    for (const auto& image : TRY(layout->import(arguments.file, arguments.name, tell)))
        std::printf("%s  %s\n", image.reference.c_str(), image.digest.c_str());
    return {};
}

Result<void> remove(const Config& config, const ImagesArguments& arguments) {
    if (arguments.unused) {
        const auto freed = TRY(ask_server(config, "POST", "/images/free-unused"));
        std::printf("%s were freed.\n", size_text(freed["bytes"].int_or(0)).c_str());
    }
    const auto layout = TRY(executors::ImageLayout::open(config.data_dir + kImportedImages));
    for (const auto& name : arguments.names) TRY(remove_image(config, *layout, name));
    return {};
}

}  // namespace

Result<void> run_images_command(const Config& config, const ImagesArguments& arguments) {
    switch (arguments.action) {
        case Action::List:
            return list(config, arguments);
        case Action::Alias:
            return alias(config, arguments);
        case Action::Import:
            return import(config, arguments);
        case Action::Remove:
            return remove(config, arguments);
    }
    return {};
}

}  // namespace millwright::programs
