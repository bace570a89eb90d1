#include "executors/container/engine_images.h"

#include <algorithm>
#include <set>

#include "base/encoding.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "oci/runnable.h"

namespace millwright::executors {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kBetweenLines{300};

std::vector<std::string> texts(const Json& array) {
    std::vector<std::string> out;
    for (const auto& item : array.items()) out.push_back(item.string_or(""));
    return out;
}

// From the answer of /images/<name>/json.
RunImage run_image(const oci::Reference& reference, std::string digest, const Json& about) {
    const auto& config = about["Config"];
    RunImage image;
    image.reference = oci::to_string(reference);
    image.digest = std::move(digest);
    image.engine_image = about["Id"].string_or("");
    image.config.platform = {about["Architecture"].string_or(""), about["Os"].string_or(""), ""};
    image.config.entrypoint = texts(config["Entrypoint"]);
    image.config.command = texts(config["Cmd"]);
    image.config.environment = texts(config["Env"]);
    image.config.working_folder = config["WorkingDir"].string_or("");
    image.config.user = config["User"].string_or("");
    image.config.stop_signal = config["StopSignal"].string_or("");
    for (const auto& [name, value] : config["Labels"].members()) image.config.labels[name] = value.string_or("");
    for (const auto& [port, ignored] : config["ExposedPorts"].members()) image.config.exposed_ports.push_back(port);
    image.config.created = about["Created"].string_or("");
    return image;
}

std::string digest_of(const Json& about) {
    for (const auto& name : about["RepoDigests"].items())
        if (const auto text = name.string_or(""); text.find('@') != std::string::npos)
            return text.substr(text.find('@') + 1);
    return about["Id"].string_or("");
}

class EngineImages final : public Images {
  public:
    EngineImages(EngineClient& engine, const ContainerSettings& settings, std::function<void()> soon)
        : engine_(engine), settings_(settings), soon_(std::move(soon)) {}

    Result<void> look(const ImageRequest& request) override;
    Result<bool> here(const ImageRequest& request) override;
    Result<RunImage> prepare(const ImageRequest& request, const ImageProgress& progress,
                             const std::function<bool()>& stop) override;

  private:
    struct Ours {
        oci::Reference reference;  // with account and region in the host
        std::string digest;        // of the manifest for this machine
        std::string config;        // digest of its configuration: what engines call the image
    };
    bool may_be_ours(const ImageRequest& request) const;
    Result<Ours> find_ours(const ImageRequest& request) const;
    Result<Json> inspect(const std::string& name) const {
        return engine_.get("/images/" + percent_encode(name, Slash::Keep) + "/json");
    }
    bool can_pull(const oci::Reference& reference) const;
    Result<void> pull(const std::string& name, const std::optional<EngineLogin>& login, bool plain,
                      const ImageProgress& progress, const std::function<bool()>& stop);
    Result<std::string> begin_pull(const std::string& name, const ImageProgress& progress,
                                   const std::function<bool()>& stop);
    void end_pull(const std::string& name);

    EngineClient& engine_;
    const ContainerSettings& settings_;
    const std::function<void()> soon_;
    Mutex mutex_;
    Condition changed_;
    std::set<std::string> pulling_ GUARDED_BY(mutex_);
};

bool EngineImages::may_be_ours(const ImageRequest& request) const {
    if (settings_.registry == nullptr || settings_.registry_address.empty()) return false;
    return request.reference.host.empty() || oci::parse_ecr_host(request.reference.host).has_value();
}

Result<EngineImages::Ours> EngineImages::find_ours(const ImageRequest& request) const {
    Ours ours;
    ours.reference = request.reference;
    if (ours.reference.host.empty())
        ours.reference.host = request.account + ".dkr.ecr." + request.region + ".amazonaws.com";
    auto manifest = TRY(settings_.registry->find_manifest(ours.reference));
    auto found = TRY(oci::for_this_machine(*settings_.registry, {ours.reference, std::move(manifest)}));
    ours.digest = found.manifest.digest;
    const auto image = TRY(oci::open_runnable(*settings_.registry, std::move(found)));
    ours.config = image.manifest.config.digest;
    return ours;
}

// Other registries are asked only where somebody has said so, by a login or by a plain host in the name.
bool EngineImages::can_pull(const oci::Reference& reference) const {
    return !reference.host.empty() &&
           (settings_.logins.contains(reference.host) || !oci::parse_ecr_host(reference.host));
}

Result<void> EngineImages::look(const ImageRequest& request) {
    soon_();
    if (may_be_ours(request)) {
        const auto ours = find_ours(request);
        if (ours) return {};
        if (ours.error().kind != ErrorKind::NotFound) return ours.error();
        if (!request.reference.host.empty() && !settings_.logins.contains(request.reference.host)) {
            // The engine may have the real one, pulled by whoever runs this machine.
            return inspect(oci::to_string(request.reference)) ? Result<void>() : Result<void>(ours.error());
        }
    }
    if (can_pull(request.reference)) return {};
    const auto local = inspect(oci::to_string(request.reference));
    if (local) return {};
    if (local.error().kind != ErrorKind::NotFound) return local.error();
    return not_found("The image " + oci::to_string(request.reference) +
                     " is neither in this registry nor among the images of the container engine.");
}

Result<bool> EngineImages::here(const ImageRequest& request) {
    if (may_be_ours(request)) {
        const auto ours = find_ours(request);
        if (ours) return true;
        if (ours.error().kind != ErrorKind::NotFound) return ours.error();
    }
    const auto local = inspect(oci::to_string(request.reference));
    if (!local && local.error().kind != ErrorKind::NotFound) return local.error();
    return local.has_value();
}

Result<RunImage> EngineImages::prepare(const ImageRequest& request, const ImageProgress& progress,
                                       const std::function<bool()>& stop) {
    const auto name = oci::to_string(request.reference);
    if (may_be_ours(request)) {
        const auto ours = find_ours(request);
        if (!ours && ours.error().kind != ErrorKind::NotFound) return ours.error();
        if (ours) {
            if (const auto there = inspect(ours->config)) return run_image(request.reference, ours->digest, *there);
            const auto pulled = settings_.registry_address + "/" + ours->reference.repository + "@" + ours->digest;
            std::optional<EngineLogin> login;
            if (settings_.log_in) login = TRY(settings_.log_in(request));
            TRY(pull(pulled, login, true, progress, stop));
            auto about = inspect(ours->config);
            if (!about) about = inspect(pulled);
            if (!about) return about.error();
            return run_image(request.reference, ours->digest, *about);
        }
        if (const auto local = inspect(name)) return run_image(request.reference, digest_of(*local), *local);
        if (!request.reference.host.empty() && !settings_.logins.contains(request.reference.host)) return ours.error();
    }
    if (const auto local = inspect(name)) return run_image(request.reference, digest_of(*local), *local);
    if (!can_pull(request.reference)) return look(request).has_value() ? not_found(name) : look(request).error();
    std::optional<EngineLogin> login;
    if (const auto known = settings_.logins.find(request.reference.host); known != settings_.logins.end())
        login = TRY(known->second());
    TRY(pull(name, login, false, progress, stop));
    const auto about = TRY(inspect(name));
    return run_image(request.reference, digest_of(about), about);
}

// One pull of an image at a time; whoever comes second waits and finds it there.
Result<std::string> EngineImages::begin_pull(const std::string& name, const ImageProgress& progress,
                                             const std::function<bool()>& stop) {
    bool said = false;
    for (;;) {
        {
            const MutexLock lock(mutex_);
            if (pulling_.insert(name).second) return name;
            changed_.wait_until(mutex_, std::chrono::steady_clock::now() + kBetweenLines);
        }
        if (stop && stop()) return Error{ErrorKind::Conflict, "stopped while the image was pulled", ""};
        if (!said && progress) progress("Pulling image, for another job, too");
        said = true;
    }
}

void EngineImages::end_pull(const std::string& name) {
    const MutexLock lock(mutex_);
    pulling_.erase(name);
    changed_.notify_all();
}

Result<void> EngineImages::pull(const std::string& name, const std::optional<EngineLogin>& login, bool plain,
                                const ImageProgress& progress, const std::function<bool()>& stop) {
    TRY(begin_pull(name, progress, stop));
    net::Headers headers;
    const auto host = name.substr(0, name.find('/'));
    if (login) {
        const auto auth =
            Json::object({{"username", login->user}, {"password", login->password}, {"serveraddress", host}});
        // The alphabet for addresses.
        headers.add("X-Registry-Auth", replace_all(replace_all(to_base64(auth.dump()), "+", "-"), "/", "_"));
    }
    const auto engine = engine_.about();
    if (!engine) {
        end_pull(name);
        return engine.error();
    }
    std::string target = "/images/create?fromImage=" + percent_encode(name);
    // Podman pulls from a plain registry only when it is told.
    if (engine->kind == EngineKind::Podman)
        target = "/v4.0.0/libpod/images/pull?policy=always&reference=" + percent_encode("docker://" + name) +
                 (plain ? "&tlsVerify=false" : "");
    PullProgress state;
    std::string failure;
    bool stopped = false;
    auto said = std::chrono::steady_clock::now() - kBetweenLines;
    const auto done = engine_.stream_documents("POST", target, headers, [&](const Json& document) {
        if (document.has("error")) failure = document["error"].string_or("the pull failed");
        const auto line = state.note(document);
        const auto now = std::chrono::steady_clock::now();
        if (!line.empty() && progress && now - said >= kBetweenLines) {
            said = now;
            progress(line);
        }
        stopped = stop && stop();
        return !stopped;
    });
    end_pull(name);
    if (stopped) return Error{ErrorKind::Conflict, "stopped while the image was pulled", ""};
    if (!done) return done.error();
    if (!failure.empty()) return invalid_input("The image " + name + " could not be pulled: " + failure);
    return {};
}

}  // namespace

std::string PullProgress::note(const Json& document) {
    if (document.has("stream")) {  // Podman's is made for people
        std::string line(trim(document["stream"].string_or("")));
        if (line.empty() || line == last_) return "";
        last_ = line;
        return "Pulling image: " + line;
    }
    const auto id = document["id"].string_or("");
    const auto status = document["status"].string_or("");
    if (id.size() != 12) return "";  // not about a layer
    Layer& layer = layers_[id];
    const auto& detail = document["progressDetail"];
    if (status == "Downloading") {
        layer.now = static_cast<uint64_t>(detail["current"].int_or(0));
        layer.total = static_cast<uint64_t>(detail["total"].int_or(0));
    }
    if (status == "Download complete" || status == "Pull complete" || status == "Already exists")
        layer.now = layer.total;
    if (status == "Pull complete" || status == "Already exists") layer.done = true;
    uint64_t now = 0, total = 0;
    size_t done = 0;
    for (const auto& [name, one] : layers_) {
        now += one.now;
        total += one.total;
        done += one.done ? 1 : 0;
    }
    auto line = "Pulling image: " + std::to_string(done) + " of " + std::to_string(layers_.size()) + " layers";
    if (total > 0) line += ", " + std::to_string(now >> 20) + " of " + std::to_string(total >> 20) + " MiB";
    if (line == last_) return "";
    last_ = line;
    return line;
}

std::unique_ptr<Images> make_engine_images(EngineClient& engine, const ContainerSettings& settings,
                                           std::function<void()> soon) {
    return std::make_unique<EngineImages>(engine, settings, std::move(soon));
}

}  // namespace millwright::executors
