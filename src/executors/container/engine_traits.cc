#include "executors/container/engine_traits.h"

#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "executors/container/seccomp_filter.h"

namespace millwright::executors {
namespace {

constexpr const char* kMemory = "/engine.json";

bool has_option(const Json& info, std::string_view name) {
    for (const auto& option : info["SecurityOptions"].items()) {
        const auto text = option.string_or("");
        for (const auto part : split(text, ','))
            if (part == "name=" + std::string(name)) return true;
    }
    return false;
}

// With a map of users Docker keeps its data in a folder "<user>.<group>" of its own: root of the containers.
void find_own_users(const Json& info, EngineTraits& traits) {
    if (!has_option(info, "userns")) return;
    const std::string root = info["DockerRootDir"].string_or("");
    const auto name = std::string_view(root).substr(root.rfind('/') + 1);
    const auto parts = split(name, '.');
    if (parts.size() != 2) return;
    const auto user = parse_int(parts[0]), group = parse_int(parts[1]);
    if (!user || !group) return;
    traits.own_users = true;
    traits.root_user = static_cast<uint32_t>(*user);
    traits.root_group = static_cast<uint32_t>(*group);
}

EngineTraits::Gpus find_gpus(const Json& info, EngineKind kind) {
    if (!file_exists("/dev/nvidiactl")) return EngineTraits::Gpus::None;
    for (const char* folder : {"/etc/cdi/nvidia.yaml", "/var/run/cdi/nvidia.yaml"})
        if (file_exists(folder) && (kind == EngineKind::Podman || info["CDISpecDirs"].size() > 0))
            return EngineTraits::Gpus::Cdi;
    if (info["Runtimes"].has("nvidia")) return EngineTraits::Gpus::Runtime;
    return EngineTraits::Gpus::None;
}

Json overlay_probe(const std::string& folder, EngineKind kind) {
    const std::string layers = "upperdir=" + folder + "/upper,workdir=" + folder + "/work";
    if (kind == EngineKind::Podman)
        return Json::object({{"Binds", Json::array({folder + "/lower:/doors:O," + layers})}});
    const auto options =
        Json::object({{"type", "overlay"}, {"device", "overlay"}, {"o", "lowerdir=" + folder + "/lower," + layers}});
    const auto driver = Json::object({{"Name", "local"}, {"Options", options}});
    return Json::object(
        {{"Mounts", Json::array({Json::object(
                        {{"Type", "volume"},
                         {"Target", "/doors"},
                         {"VolumeOptions", Json::object({{"NoCopy", true}, {"DriverConfig", driver}})}})})}});
}

Result<void> try_overlay(Gates& gates, const std::string& state_folder, EngineKind kind) {
    const std::string folder = state_folder + "/overlay-probe";
    TRY(remove_tree(folder));
    for (const char* part : {"/lower", "/upper", "/work"}) TRY(make_directories(folder + part));
    auto tried = gates.run_helper({"exit"}, {}, overlay_probe(folder, kind));
    static_cast<void>(remove_tree(folder).has_value());
    return tried;
}

Result<void> try_limits(Gates& gates) {
    const auto limits = Json::array({Json::object({{"Name", "nofile"}, {"Soft", 1048576}, {"Hard", 1048576}}),
                                     Json::object({{"Name", "memlock"}, {"Soft", -1}, {"Hard", -1}})});
    return gates.run_helper({"exit"}, {}, Json::object({{"Ulimits", limits}}));
}

// Podman's service reads it when it starts a container.
Result<std::string> write_filter(EngineClient& engine, const std::string& state_folder) {
    const auto info = TRY(engine.get("/v4.0.0/libpod/info"));
    const auto path = info["host"]["security"]["seccompProfilePath"].string_or("");
    const auto text = TRY(read_file(path, size_t{4} << 20));
    const auto filter = TRY(narrower_filter(text));
    auto ours = state_folder + "/seccomp.json";
    TRY(replace_file_durably(ours, filter, 0644));
    return ours;
}

// What was tried counts as long as nothing has changed.
std::string circumstances(const FoundEngine& engine, const Json& info) {
    utsname kernel{};
    uname(&kernel);
    return engine.socket + " " + engine.version + " " + info["ID"].string_or("") + " " + kernel.release + " " +
           info["Driver"].string_or("");
}

// What was found out in these circumstances.
Result<Json> remembered(const std::string& state_folder, const std::string& circumstance) {
    const auto text = TRY(read_file(state_folder + kMemory, 65536));
    const auto known = TRY(Json::parse(text));
    if (known["circumstances"].string_or("") != circumstance) return not_found("nothing tried yet");
    return known["report"];
}

Result<void> try_out(Gates& gates, const std::string& state_folder, const std::string& circumstance,
                     EngineTraits& traits, Json& report) {
    if (const auto known = remembered(state_folder, circumstance)) {
        report = *known;
    } else {
        const auto overlay = try_overlay(gates, state_folder, traits.kind);
        if (!overlay && overlay.error().kind == ErrorKind::Unavailable) return overlay.error();
        const auto limits = try_limits(gates);
        if (!limits && limits.error().kind == ErrorKind::Unavailable) return limits.error();
        report.set("overlay", overlay ? "" : overlay.error().message);
        report.set("limits", limits ? "" : limits.error().message);
        const auto memory = Json::object({{"circumstances", circumstance}, {"report", report}});
        TRY(write_file(state_folder + kMemory, memory.dump() + "\n", 0600));
    }
    traits.overlay = report["overlay"].string_or("?").empty();
    traits.limits_files = report["limits"].string_or("?").empty();
    return {};
}

EngineTraits traits_of(const FoundEngine& engine, const Json& info) {
    EngineTraits traits;
    traits.kind = engine.kind;
    traits.memory = info["MemoryLimit"].bool_or(true);
    traits.swap = info["SwapLimit"].bool_or(true);
    traits.cpu = info["CpuCfsQuota"].bool_or(true);
    traits.cpus = info["NCPU"].double_or(0);
    traits.pids = info["PidsLimit"].bool_or(true);
    traits.cgroup_namespace = file_exists("/proc/self/ns/cgroup");
    traits.selinux = has_option(info, "selinux");
    traits.live_restore = info["LiveRestoreEnabled"].bool_or(false);
    traits.rootless = has_option(info, "rootless") || info["Rootless"].bool_or(false);
    traits.gpus = find_gpus(info, engine.kind);
    find_own_users(info, traits);
    return traits;
}

// What was not tried yet is not called missing.
Json describe(const FoundEngine& engine, const Json& info, const EngineTraits& traits, const Json& tried) {
    auto missing = Json::array();
    if (!traits.memory) missing.push_back("limits of memory");
    if (!traits.cpu) missing.push_back("limits of CPU time");
    if (!traits.pids) missing.push_back("limits of processes");
    if (!has_option(info, "seccomp")) missing.push_back("a filter of system calls (seccomp)");
    if (const auto why = tried["filter"].string_or(""); !why.empty())
        missing.push_back("a filter of system calls that refuses namespaces and keyrings: " + why);
    if (const auto why = tried["limits"].string_or(""); !why.empty())
        missing.push_back("higher limits of open files and locked memory: " + why);
    if (const auto why = tried["overlay"].string_or(""); !why.empty())
        missing.push_back("overlays, so input files are copied: " + why);
    constexpr const char* kGpus[] = {"none", "the nvidia runtime", "CDI"};
    return Json::object(
        {{"executor", "containers"},
         {"engine", engine.kind == EngineKind::Docker ? "docker" : "podman"},
         {"version", engine.version},
         {"socket", engine.socket},
         {"security", info["SecurityOptions"]},
         {"users", traits.own_users  ? "mapped: root of a container is user " + std::to_string(traits.root_user)
                   : traits.rootless ? "root of a container is the engine's user"
                                     : "root of a container is root, without most of its powers"},
         {"restart", traits.live_restore || traits.kind == EngineKind::Podman
                         ? "runs outlive a restart of the engine"
                         : "a restart of the engine ends all runs (live-restore is off)"},
         {"gpus", kGpus[static_cast<size_t>(traits.gpus)]},
         {"missing", std::move(missing)}});
}

}  // namespace

Result<EngineReport> probe_engine(EngineClient& engine, Gates& gates, const std::string& state_folder) {
    const auto about = TRY(engine.about());
    const auto info = TRY(engine.get("/info"));
    EngineReport result;
    EngineTraits& traits = result.traits;
    traits = traits_of(about, info);
    auto tried = Json::object();
    TRY(try_out(gates, state_folder, circumstances(about, info), traits, tried));
    if (about.kind == EngineKind::Podman && has_option(info, "seccomp")) {
        auto filter = write_filter(engine, state_folder);
        if (!filter && filter.error().kind == ErrorKind::Unavailable) return filter.error();
        tried.set("filter", filter ? "" : filter.error().message);
        if (!filter) log::warning("Podman's own filter of system calls stays in force", filter.error());
        if (filter) traits.seccomp_profile = std::move(*filter);
    }
    result.report = describe(about, info, traits, tried);
    return result;
}

Result<Json> describe_engine(const std::string& socket, const std::string& state_folder) {
    EngineClient engine(socket);
    const auto about = TRY(engine.about());
    const auto info = TRY(engine.get("/info"));
    const auto tried = remembered(state_folder, circumstances(about, info));
    return describe(about, info, traits_of(about, info), tried ? *tried : Json::object());
}

}  // namespace millwright::executors
