#include "executors/container/container_spec.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>

#include "base/files.h"
#include "base/strings.h"
#include "executors/container/gates.h"
#include "executors/container/run_record.h"

namespace millwright::executors {
namespace {

constexpr int kMaxHosts = 64;
constexpr int64_t kOpenFiles = 1048576;
// The engine's own log must not fill the disk; what it drops is beyond our limit anyway. Short lines take more room
// there.
constexpr uint64_t kLogOverhead = 4;
constexpr const char* kMl = "/opt/ml";

bool is_absolute(const std::string& path) {
    return path.starts_with("/") && path.find('\0') == std::string::npos && path.find('\n') == std::string::npos;
}

std::string host_name(int host) { return "algo-" + std::to_string(host + 1); }

Json to_array(const std::vector<std::string>& texts) {
    auto array = Json::array();
    for (const auto& text : texts) array.push_back(text);
    return array;
}

Json bind_mount(const std::string& source, const std::string& target, bool read_only) {
    return Json::object({{"Type", "bind"},
                         {"Source", source},
                         {"Target", target},
                         {"ReadOnly", read_only},
                         {"BindOptions", Json::object({{"Propagation", "rprivate"}})}});
}

bool is_plain_option(const std::string& path) { return path.find_first_of(",:\\\"") == std::string::npos; }

// Between here and the engine's mount somebody who may write above the folder could still put a link there; only what a
// file system's owner shares with jobs can be such a place, see docs/internals/container_executor.md.
Result<void> refuse_links(const std::string& path) {
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    const Fd opened(static_cast<int>(syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
    if (!opened && errno == ELOOP) return invalid_input("a part of " + path + " has become a symbolic link");
    if (!opened) return error_from_errno("cannot open " + path);
    return {};
}

Result<void> copy_tree(const std::string& from, const std::string& to) {
    TRY(remove_tree(to));
    std::error_code failure;
    using Options = std::filesystem::copy_options;
    std::filesystem::copy(from, to, Options::recursive | Options::copy_symlinks, failure);
    if (!failure) return {};
    errno = failure.value();
    return error_from_errno("cannot copy " + from);
}

// One host's mounts as they become those of the engine.
class MountPlan {
  public:
    MountPlan(const RunSpec& spec, int host, const EngineTraits& traits)
        : spec_(spec), host_(host), traits_(traits), folder_(host_folder(spec.folder, host)) {}

    Result<HostMounts> make() {
        TRY(add_ml());
        for (const Mount& mount : spec_.mounts) {
            const bool here =
                mount.hosts.empty() || std::find(mount.hosts.begin(), mount.hosts.end(), host_) != mount.hosts.end();
            if (here) TRY(add(mount));
        }
        return std::move(result_);
    }

  private:
    bool is_mounted_otherwise(const std::string& target) const {
        return std::any_of(spec_.mounts.begin(), spec_.mounts.end(),
                           [&](const Mount& mount) { return mount.target == target; });
    }

    // The folders of /opt/ml; the rest of it is the image's.
    Result<void> add_ml() {
        const std::string ml = folder_ + "/ml";
        TRY(make_directories(ml));
        std::error_code failure;
        for (const auto& entry : std::filesystem::directory_iterator(ml, failure)) {
            const auto target = std::string(kMl) + "/" + entry.path().filename().string();
            if (is_mounted_otherwise(target)) continue;
            if (entry.is_directory(failure)) TRY(open_to_user(entry.path().string()));
            result_.mounts.push_back(bind_mount(entry.path().string(), target, false));
        }
        result_.owned.push_back(ml);
        if (!failure) return {};
        errno = failure.value();
        return error_from_errno("cannot list " + ml);
    }

    // A user that the image chose writes like root would. Nobody else of the machine comes here: the run's folder is
    // closed.
    Result<void> open_to_user(const std::string& folder) const {
        if (spec_.image->config.user.empty()) return {};
        if (chmod(folder.c_str(), 0777) != 0) return error_from_errno("cannot open " + folder);
        std::error_code failure;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, failure))
            if (entry.is_directory(failure) && !entry.is_symlink(failure)) chmod(entry.path().c_str(), 0777);
        return {};
    }

    // Where the target lies in a folder that is mounted, its place must be there.
    Result<void> make_mount_point(const std::string& target) const {
        if (!target.starts_with(std::string(kMl) + "/")) return {};
        return make_directories(folder_ + "/ml" + target.substr(std::string_view(kMl).size()));
    }

    Result<void> add(const Mount& mount) {
        const std::string source = replace_all(mount.source, "{host}", host_name(host_));
        if (!mount.through_links) TRY(refuse_links(source));
        struct stat status {};
        if (stat(source.c_str(), &status) != 0) return error_from_errno("cannot mount " + source);
        if (S_ISDIR(status.st_mode)) TRY(make_mount_point(mount.target));
        if (mount.mode == Mount::Mode::Overlay) return add_overlay(source, mount.target);
        result_.mounts.push_back(bind_mount(source, mount.target, mount.mode == Mount::Mode::ReadOnly));
        if (mount.mode == Mount::Mode::Writable && source.starts_with(spec_.folder + "/")) {
            if (S_ISDIR(status.st_mode)) TRY(open_to_user(source));
            result_.owned.push_back(source);
        }
        return {};
    }

    // The files of `source` are links into the object store: the container gets a layer, or copies, to write into.
    Result<void> add_overlay(const std::string& source, const std::string& target) {
        const std::string layer = folder_ + "/layers/" + std::to_string(layers_++);
        result_.owned.push_back(layer);
        if (!traits_.overlay || !is_plain_option(source) || !is_plain_option(layer)) {
            TRY(make_directories(layer));
            TRY(copy_tree(source, layer + "/copy"));
            TRY(open_to_user(layer + "/copy"));
            result_.mounts.push_back(bind_mount(layer + "/copy", target, false));
            return {};
        }
        TRY(make_directories(layer + "/upper"));
        TRY(make_directories(layer + "/work"));
        TRY(open_to_user(layer + "/upper"));
        if (traits_.kind == EngineKind::Podman) {
            result_.binds.push_back(source + ":" + target + ":O,upperdir=" + layer + "/upper,workdir=" + layer +
                                    "/work");
            return {};
        }
        const auto options =
            Json::object({{"type", "overlay"},
                          {"device", "overlay"},
                          {"o", "lowerdir=" + source + ",upperdir=" + layer + "/upper,workdir=" + layer + "/work"}});
        const auto driver = Json::object({{"Name", "local"}, {"Options", options}});
        result_.mounts.push_back(
            Json::object({{"Type", "volume"},
                          {"Target", target},
                          {"VolumeOptions", Json::object({{"NoCopy", true}, {"DriverConfig", driver}})}}));
        return {};
    }

    const RunSpec& spec_;
    const int host_;
    const EngineTraits& traits_;
    const std::string folder_;
    HostMounts result_;
    int layers_ = 0;
};

// Container engines grant more by default: raw sockets, device nodes, file capabilities and audit records are what no
// training needs. SYS_CHROOT is sshd's, which MPI starts.
const std::vector<std::string> kCapabilities = {"CHOWN",  "DAC_OVERRIDE", "FOWNER",           "FSETID",    "KILL",
                                                "SETGID", "SETUID",       "NET_BIND_SERVICE", "SYS_CHROOT"};

// What every process of the machine does to its memory: the default masks of engines forget it.
const std::vector<std::string> kMaskedHere = {"/proc/kpagecount", "/proc/kpageflags", "/proc/kpagecgroup"};
// The union of the engines' own, which a list replaces in Docker.
const std::vector<std::string> kMasked = {"/proc/asound",      "/proc/acpi",        "/proc/interrupts",
                                          "/proc/kcore",       "/proc/keys",        "/proc/latency_stats",
                                          "/proc/timer_list",  "/proc/timer_stats", "/proc/scsi",
                                          "/proc/sched_debug", "/sys/firmware",     "/sys/devices/virtual/powercap"};

Json security_options(const EngineTraits& traits) {
    auto security = Json::array({"no-new-privileges"});
    if (traits.selinux) security.push_back("label=disable");
    if (traits.kind == EngineKind::Podman) security.push_back("mask=" + join(kMaskedHere, ":"));
    if (!traits.seccomp_profile.empty()) security.push_back("seccomp=" + traits.seccomp_profile);
    return security;
}

Json masked_paths() {
    auto paths = kMasked;
    paths.insert(paths.end(), kMaskedHere.begin(), kMaskedHere.end());
    return to_array(paths);
}

Json host_config(const RunSpec& spec, int host, const EngineTraits& traits, const HostContainer& container) {
    const Limits& limits = limits_of(spec, host);
    auto mounts = container.mounts.mounts;
    mounts.push_back(bind_mount(container.hosts_file, "/etc/hosts", false));
    auto config = Json::object({{"NetworkMode", "container:" + container.gate},
                                {"CapDrop", Json::array({"ALL"})},
                                {"CapAdd", to_array(kCapabilities)},
                                {"SecurityOpt", security_options(traits)},
                                {"Privileged", false},
                                {"IpcMode", "private"},
                                {"Mounts", std::move(mounts)},
                                {"RestartPolicy", Json::object({{"Name", "no"}})}});
    if (container.mounts.binds.size() > 0) config.set("Binds", container.mounts.binds);
    if (traits.kind == EngineKind::Docker) config.set("MaskedPaths", masked_paths());
    if (traits.cgroup_namespace) config.set("CgroupnsMode", "private");
    if (traits.memory) {
        config.set("Memory", limits.memory_bytes);
        if (traits.swap) config.set("MemorySwap", limits.memory_bytes);
    }
    const double cpus = traits.cpus > 0 ? std::min(limits.cpus, traits.cpus) : limits.cpus;
    if (traits.cpu) config.set("NanoCpus", static_cast<int64_t>(std::llround(cpus * 1e9)));
    // On a machine that is busy with other work, too, each gets its share.
    config.set("CpuShares", std::max<int64_t>(2, std::llround(limits.cpus * 1024)));
    if (traits.pids) config.set("PidsLimit", limits.max_processes);
    config.set("ShmSize", limits.shared_memory_bytes > 0 ? limits.shared_memory_bytes : limits.memory_bytes / 2);
    if (traits.limits_files)
        config.set("Ulimits",
                   Json::array({Json::object({{"Name", "nofile"}, {"Soft", kOpenFiles}, {"Hard", kOpenFiles}}),
                                Json::object({{"Name", "memlock"}, {"Soft", -1}, {"Hard", -1}})}));
    const uint64_t log_bytes = spec.max_log_bytes > 0 ? spec.max_log_bytes * kLogOverhead : uint64_t{1} << 40;
    auto log_config = Json::object({{"max-size", std::to_string(log_bytes)}});
    if (traits.kind == EngineKind::Docker) log_config.set("max-file", "2");
    config.set("LogConfig", Json::object({{"Type", "json-file"}, {"Config", std::move(log_config)}}));
    if (limits.gpus > 0 && traits.gpus == EngineTraits::Gpus::Runtime)
        config.set("DeviceRequests",
                   Json::array({Json::object({{"Driver", "nvidia"},
                                              {"Count", limits.gpus},
                                              {"Capabilities", Json::array({Json::array({"gpu"})})}})}));
    if (limits.gpus > 0 && traits.gpus == EngineTraits::Gpus::Cdi) {
        auto devices = Json::array(), requested = Json::array();
        for (int i = 0; i < limits.gpus; ++i) {
            const std::string name = "nvidia.com/gpu=" + std::to_string(i);
            devices.push_back(Json::object({{"PathOnHost", name}}));
            requested.push_back(name);
        }
        if (traits.kind == EngineKind::Podman)
            config.set("Devices", std::move(devices));
        else
            config.set("DeviceRequests",
                       Json::array({Json::object({{"Driver", "cdi"}, {"DeviceIDs", std::move(requested)}})}));
    }
    return config;
}

}  // namespace

const Limits& limits_of(const RunSpec& spec, int host) {
    return spec.host_limits.empty() ? spec.limits : spec.host_limits.at(static_cast<size_t>(host));
}

std::string host_folder(const std::string& folder, int host) { return folder + "/" + host_name(host); }

Result<void> check_container_spec(const RunSpec& spec) {
    const auto plain = [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
    };
    if (spec.id.empty() || spec.id.size() > 64 || !std::all_of(spec.id.begin(), spec.id.end(), plain))
        return invalid_input("a run needs an id of letters, digits and dashes");
    if (!spec.image || spec.image->engine_image.empty())
        return invalid_input("a container needs an image that its engine has");
    if (!is_absolute(spec.folder) || !file_exists(spec.folder))
        return invalid_input("the folder of the run does not exist");
    if (spec.hosts < 1 || spec.hosts > kMaxHosts) return invalid_input("a run has 1 to 64 hosts");
    if (spec.log_files.size() != static_cast<size_t>(spec.hosts))
        return invalid_input("a run needs one log file per host");
    if (!spec.host_limits.empty() && spec.host_limits.size() != static_cast<size_t>(spec.hosts))
        return invalid_input("a run needs limits for each host or for none");
    for (int host = 0; host < spec.hosts; ++host)
        if (const Limits& limits = limits_of(spec, host); !(limits.cpus > 0) || limits.memory_bytes < (6u << 20))
            return invalid_input("the limits of the run are too small");
    for (const auto& [name, value] : spec.environment)
        if (name.empty() || name.find('=') != std::string::npos || name.find('\0') != std::string::npos ||
            value.find('\0') != std::string::npos)
            return invalid_input("bad environment variable " + name);
    for (const Mount& mount : spec.mounts)
        if (!is_absolute(mount.source) || !is_absolute(mount.target))
            return invalid_input("mounts need absolute paths: " + mount.source + " at " + mount.target);
    return {};
}

Result<HostMounts> prepare_mounts(const RunSpec& spec, int host, const EngineTraits& traits) {
    return MountPlan(spec, host, traits).make();
}

Result<Json> container_body(const RunSpec& spec, int host, const EngineTraits& traits, const HostContainer& container) {
    const RunImage& image = *spec.image;
    // Spelled out, because engines differ in what they keep of the image's when only one of the two is given.
    const auto entrypoint = image.entrypoint.value_or(image.config.entrypoint);
    auto command = spec.command;
    if (command.empty() && !image.entrypoint) command = image.config.command;
    if (entrypoint.empty() && command.empty())
        return invalid_input("The image " + image.reference +
                             " says nothing about what to run: it has no entry point.");
    auto environment = Json::array();
    for (const auto& [name, value] : spec.environment) environment.push_back(name + "=" + value);
    auto body = Json::object({{"Image", image.engine_image},
                              {"Entrypoint", to_array(entrypoint)},
                              {"Cmd", to_array(command)},
                              {"Env", std::move(environment)},
                              {"Tty", false},
                              {"OpenStdin", false},
                              {"Healthcheck", Json::object({{"Test", Json::array({"NONE"})}})},
                              {"Labels", Json::object({{kOwnerLabel, container.owner},
                                                       {kRunLabel, spec.id},
                                                       {kHostLabel, host_name(host)},
                                                       {kFolderLabel, spec.folder},
                                                       {"millwright.boot", boot_id()}})},
                              {"HostConfig", host_config(spec, host, traits, container)}});
    // Docker takes it from the gate, and refuses to hear it twice.
    if (traits.kind == EngineKind::Podman) body.set("Hostname", host_name(host));
    return body;
}

}  // namespace millwright::executors
