#include "programs/server/images_build_command.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>

#include "base/digest.h"
#include "base/files.h"
#include "base/random.h"
#include "base/strings.h"
#include "executors/container/container_runtime.h"
#include "resources/prebuilt_images/build_context.h"
#include "resources/prebuilt_images/image_builder.h"

namespace millwright::programs {
namespace {

using resources::BuildContext;
using resources::BuiltImage;
using resources::ImageBuilder;
using resources::PrebuiltImage;
using Kind = resources::PrebuiltImage::Kind;

constexpr const char* kContentLabel = "millwright.content";
constexpr const char* kStageLabel = "millwright.stage=packages";

// A file that vanishes with the command, however that ends well.
class ScratchFile {
  public:
    explicit ScratchFile(std::string path) : path_(std::move(path)) {}
    ScratchFile(const ScratchFile&) = delete;
    ScratchFile& operator=(const ScratchFile&) = delete;
    ~ScratchFile() { unlink(path_.c_str()); }
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

Result<std::string> engine_socket(const Config& config) {
    if (config.container_engine == ContainerEngineWish::None)
        return invalid_input(
            "images are built by a container engine, and containers.engine in the configuration is none");
    std::vector<std::string> sockets = executors::engine_sockets();
    if (!config.container_socket.empty()) sockets = {config.container_socket};
    std::string why;
    for (const std::string& socket : sockets) {
        const auto engine = executors::ask_engine(socket);
        if (engine) return socket;
        why += (why.empty() ? "" : "; ") + engine.error().message;
    }
    return Error{ErrorKind::Unavailable,
                 "images are built by Docker or Podman, and neither answers here (containers.socket names a socket)",
                 why};
}

// Not kept in the image, and not in its history.
void add_proxies(std::map<std::string, std::string>& arguments) {
    for (const char* name : {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"})
        if (const char* value = std::getenv(name)) arguments[name] = value;
}

// What a step says, of interest to who waits: our own lines of progress, and where the build is.
std::optional<std::string> worth_telling(const std::string& line) {
    if (line.starts_with("@ ")) return line.substr(2);
    if (line.starts_with("Step ") || line.starts_with("STEP ")) return line;
    return std::nullopt;
}

class Workshop {
  public:
    Workshop(const Config& config, const ImagesBuildArguments& arguments, const std::string& programs)
        : config_(config), arguments_(arguments), begun_(std::chrono::steady_clock::now()) {
        const std::string share = programs.substr(0, programs.rfind('/')) + "/share";
        parts_ = {.dockerfiles = share + "/images", .programs = programs, .python = share + "/python"};
    }

    Result<void> open() {
        index_ = TRY(resources::ask_package_index());
        const std::string socket = TRY(engine_socket(config_));
        builder_ = ImageBuilder::open(socket);
        return {};
    }

    Result<BuildContext> context_of(const PrebuiltImage& image) { return build_context(image, parts_, index_); }

    // Builds what it is made from, too. The id.
    Result<std::string> provide(const PrebuiltImage& image) {
        if (image.kind == Kind::Base && !base_.empty()) return base_;
        auto id = TRY(bring_up_to_date(image));
        if (image.kind == Kind::Base) base_ = id;
        return id;
    }

  private:
    Result<std::string> bring_up_to_date(const PrebuiltImage& image) {
        std::map<std::string, std::string> arguments;
        if (image.kind == Kind::Base) arguments["BASE_IMAGE"] = arguments_.base;
        if (image.kind == Kind::Framework) {
            const PrebuiltImage base = TRY(resources::find_prebuilt_image("base", false));
            arguments["MILLWRIGHT_BASE"] = TRY(provide(base));
        }
        const BuildContext context = TRY(context_of(image));
        std::string text = TRY(content_of(context));
        for (const auto& [name, value] : arguments) text += "\n" + name + "=" + value;
        const std::string content = sha256_hex(text);
        if (!arguments_.no_cache) {
            const auto there = builder_->find(image.references().front());
            if (there && there->labels.contains(kContentLabel) && there->labels.at(kContentLabel) == content) {
                tell(image.references().front() + " is up to date");
                TRY(builder_->name(there->id, image.references()));
                return report(image, *there);
            }
        }
        return build(image, context, arguments, content);
    }

    Result<std::string> build(const PrebuiltImage& image, const BuildContext& context,
                              std::map<std::string, std::string> arguments, const std::string& content) {
        tell("Building " + image.references().front() + ": " + image.title);
        TRY(make_directories(config_.data_dir, 0700));
        const ScratchFile archive(config_.data_dir + "/image-" + system_random().hex(16) + ".tar");
        {
            const Fd file = TRY(open_file(archive.path(), O_WRONLY | O_CREAT | O_EXCL, 0600));
            TRY(write_archive(context, file.get()));
        }
        add_proxies(arguments);
        const resources::ImageOrder order{
            .archive = archive.path(),
            .references = image.references(),
            .arguments = arguments,
            .labels = {{kContentLabel, content}, {"org.opencontainers.image.title", image.title}},
            .network = arguments_.network,
            .no_cache = arguments_.no_cache};
        const auto built = builder_->build(order, [this](const std::string& line) {
            if (const auto told = worth_telling(line)) tell(*told);
        });
        if (!built)
            return Error{built.error().kind, image.references().front() + " cannot be built: " + built.error().message,
                         built.error().detail};
        TRY(builder_->remove_unnamed(kStageLabel));
        return report(image, *built);
    }

    Result<std::string> report(const PrebuiltImage& image, const BuiltImage& built) {
        std::printf("%-32s %6.0f MB  %s\n", image.references().front().c_str(), static_cast<double>(built.bytes) / 1e6,
                    image.title.c_str());
        std::fflush(stdout);
        return built.id;
    }

    void tell(const std::string& line) const {
        const auto spent = std::chrono::steady_clock::now() - begun_;
        std::fprintf(stderr, "%6.1f s  %s\n", std::chrono::duration<double>(spent).count(), line.c_str());
    }

    const Config& config_;
    const ImagesBuildArguments& arguments_;
    const std::chrono::steady_clock::time_point begun_;
    resources::ContextParts parts_;
    resources::PackageIndex index_;
    std::unique_ptr<ImageBuilder> builder_;
    std::string base_;  // the id of the base image, once it is there
};

}  // namespace

Result<void> run_images_build_command(const Config& config, const ImagesBuildArguments& arguments,
                                      const std::string& programs) {
    std::vector<PrebuiltImage> images;
    for (const std::string& name : arguments.names) {
        auto image = TRY(resources::find_prebuilt_image(name, arguments.gpu));
        images.push_back(std::move(image));
    }
    if (images.empty()) images = resources::all_prebuilt_images(arguments.gpu);
    Workshop shop(config, arguments, programs);
    TRY(shop.open());
    if (!arguments.context.empty()) {
        if (arguments.names.size() != 1) return invalid_input("--context is for one image");
        const BuildContext context = TRY(shop.context_of(images[0]));
        return write_folder(context, arguments.context);
    }
    for (const PrebuiltImage& image : images) TRY(shop.provide(image));
    return {};
}

}  // namespace millwright::programs
