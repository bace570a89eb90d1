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
#include "programs/server/containers.h"
#include "resources/images/image_aliases.h"
#include "resources/prebuilt_images/build_context.h"
#include "resources/prebuilt_images/image_builder.h"

namespace millwright::programs {
namespace {

using resources::BuildContext;
using resources::BuiltImage;
using resources::ImageBuilder;
using resources::kContentLabel;
using resources::PrebuiltImage;
using Kind = resources::PrebuiltImage::Kind;

constexpr const char* kStageLabel = "millwright.stage";

// A file that is gone when the command is.
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

Result<std::unique_ptr<ImageBuilder>> open_engine_of(const Config& config) {
    if (config.container_engine == ContainerEngineWish::None)
        return invalid_input(
            "images are built by a container engine, and containers.engine in the configuration is none");
    const auto found = find_engine(config);
    if (found) return ImageBuilder::open(found->socket);
    return Error{ErrorKind::Unavailable, "images are built by Docker or Podman: " + found.error().message,
                 found.error().detail};
}

// Not kept in the image, and not in its history.
void add_proxies(std::map<std::string, std::string>& arguments) {
    for (const char* name : {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"})
        if (const char* value = std::getenv(name)) arguments[name] = value;
}

// What a step says, of interest to who waits: our own lines of progress, and where the build is.
std::optional<std::string> worth_telling(const std::string& line) {
    if (line.starts_with("@ ")) return line.substr(2);
    if (line.starts_with("Step ") || line.find("STEP ") < 7) return line;
    return std::nullopt;
}

// One Dockerfile with what it copies.
struct Step {
    std::string title;
    BuildContext context;
    std::map<std::string, std::string> arguments;
    std::vector<std::string> references;
};

class Workshop {
  public:
    Workshop(const Config& config, const ImagesBuildArguments& arguments, const std::string& programs)
        : config_(config), arguments_(arguments), begun_(std::chrono::steady_clock::now()) {
        const std::string share = programs.substr(0, programs.rfind('/')) + "/share";
        parts_ = {.dockerfiles = share + "/images", .programs = programs, .python = share + "/python"};
    }

    // Not for the algorithms, which need no packages.
    Result<void> ask_for_packages() {
        index_ = TRY(resources::ask_package_index());
        return {};
    }

    Result<void> open_engine() {
        builder_ = TRY(open_engine_of(config_));
        return {};
    }

    // With what it is made from. The name, size and title go to stdout.
    Result<void> provide(const PrebuiltImage& image) {
        Step step{image.title, {}, {}, image.references()};
        if (image.kind == Kind::Algorithms) {
            step.context = TRY(algorithms_context(parts_));
        } else {
            step.context = TRY(programs_context(parts_));
            const BuiltImage packages = TRY(provide_packages(image));
            step.arguments["PACKAGES"] = packages.id;
        }
        const BuiltImage built = TRY(ensure(step));
        TRY(builder_->name(built.id, step.references));
        // What was made from another comes after it, so it goes first.
        for (; !replaced_.empty(); replaced_.pop_back()) builder_->remove_if_unnamed(replaced_.back());
        std::printf("%-32s %6.0f MB  %s\n", step.references.front().c_str(), static_cast<double>(built.bytes) / 1e6,
                    image.title.c_str());
        std::fflush(stdout);
        return arguments_.use ? use(image) : Result<void>();
    }

    // Each step's context in a folder of its own.
    Result<void> write(const PrebuiltImage& image, const std::string& folder) {
        if (image.kind == Kind::Algorithms) {
            const BuildContext context = TRY(algorithms_context(parts_));
            return write_folder(context, folder + "/algorithms");
        }
        const PrebuiltImage base = TRY(resources::find_prebuilt_image("base", false));
        const BuildContext bottom = TRY(packages_context(base, parts_, index_));
        TRY(write_folder(bottom, folder + "/base"));
        if (image.kind == Kind::Framework) {
            const BuildContext packages = TRY(packages_context(image, parts_, index_));
            TRY(write_folder(packages, folder + "/" + image.name));
        }
        const BuildContext programs = TRY(programs_context(parts_));
        return write_folder(programs, folder + "/programs");
    }

  private:
    // Whatever version a URI asks for: the one that was built last.
    Result<void> use(const PrebuiltImage& image) {
        if (image.kind != Kind::Framework) return {};
        resources::ImageAliases aliases(config_.data_dir + "/image-aliases.json");
        for (const std::string& name : resources::repositories_of_framework(image.name)) {
            if (name == "sagemaker-xgboost") {
                tell(name + " stays the built-in algorithm, which has this name, too");
                continue;
            }
            TRY(aliases.set(name, image.references().front()));
            tell(name + " means " + image.references().front());
        }
        return {};
    }

    Result<BuiltImage> provide_packages(const PrebuiltImage& image) {
        if (image.kind == Kind::Base && base_) return *base_;
        Step step{image.title, {}, {}, {image.packages_reference()}};
        step.context = TRY(packages_context(image, parts_, index_));
        if (image.kind == Kind::Framework) {
            const PrebuiltImage base = TRY(resources::find_prebuilt_image("base", false));
            const BuiltImage below = TRY(provide_packages(base));
            step.arguments["BASE"] = below.id;
        } else {
            step.arguments["BASE_IMAGE"] = arguments_.base;
        }
        const BuiltImage built = TRY(ensure(step));
        if (image.kind == Kind::Base) base_ = built;
        return built;
    }

    // As it is there, when it was made from the same.
    Result<BuiltImage> ensure(const Step& step) {
        std::string text = TRY(content_of(step.context));
        for (const auto& [name, value] : step.arguments) text += "\n" + name + "=" + value;
        const std::string content = sha256_hex(text);
        auto there = builder_->find(step.references.front());
        if (!arguments_.no_cache) {
            if (there && there->labels.contains(kContentLabel) && there->labels.at(kContentLabel) == content) {
                tell(step.references.front() + " is up to date");
                return there;
            }
        }
        auto built = TRY(build(step, content));
        if (there && there->id != built.id) replaced_.push_back(there->id);
        return built;
    }

    Result<BuiltImage> build(const Step& step, const std::string& content) {
        const std::string& name = step.references.front();
        tell("Building " + name + ": " + step.title);
        TRY(make_directories(config_.data_dir, 0700));
        const ScratchFile archive(config_.data_dir + "/image-" + system_random().hex(16) + ".tar");
        {
            const Fd file = TRY(open_file(archive.path(), O_WRONLY | O_CREAT | O_EXCL, 0600));
            TRY(write_archive(step.context, file.get()));
        }
        resources::ImageOrder order{
            .archive = archive.path(),
            .references = step.references,
            .arguments = step.arguments,
            .labels = {{kContentLabel, content}, {"org.opencontainers.image.title", step.title}},
            .network = arguments_.network,
            .no_cache = arguments_.no_cache};
        add_proxies(order.arguments);
        // Its own, because another command may be building at the same time.
        const std::string stage = system_random().hex(16);
        if (step.arguments.contains("BASE")) order.arguments["STAGE"] = stage;
        auto built = builder_->build(order, [this](const std::string& line) {
            if (const auto told = worth_telling(line)) tell(*told);
        });
        const auto removed = builder_->remove_unnamed(std::string(kStageLabel) + "=" + stage);
        if (!built)
            return Error{built.error().kind, name + " cannot be built: " + built.error().message, built.error().detail};
        if (!removed) tell("What the build needed stays in the engine: " + removed.error().message);
        return built;
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
    std::optional<BuiltImage> base_;     // once it is there
    std::vector<std::string> replaced_;  // ids of images whose name a new one has
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
    const auto needs_packages = [](const PrebuiltImage& image) { return image.kind != Kind::Algorithms; };
    if (std::any_of(images.begin(), images.end(), needs_packages)) TRY(shop.ask_for_packages());
    if (!arguments.context.empty()) {
        if (arguments.names.size() != 1) return invalid_input("--context is for one image");
        return shop.write(images[0], arguments.context);
    }
    TRY(shop.open_engine());
    for (const PrebuiltImage& image : images) TRY(shop.provide(image));
    return {};
}

}  // namespace millwright::programs
