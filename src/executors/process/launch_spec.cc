#include "executors/process/launch_spec.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace millwright::executors {
namespace {

constexpr std::string_view kMagic = "millwright-launch 2";
constexpr std::string_view kOldMagic = "millwright-launch 1";

class Writer {
  public:
    void put(std::string_view key, std::string_view value) {
        text_.append(key).push_back('\0');
        text_.append(value).push_back('\0');
    }
    void put(std::string_view key, int64_t value) { put(key, std::to_string(value)); }
    void put_all(std::string_view key, const std::vector<std::string>& values) {
        for (const std::string& value : values) put(key, value);
    }
    std::string finish() && {
        text_.append("end").push_back('\0');
        return std::move(text_);
    }

  private:
    std::string text_ = std::string(kMagic) + '\0';
};

// False when there is no terminating NUL.
bool next_field(std::string_view& text, std::string_view& field) {
    const size_t end = text.find('\0');
    if (end == std::string_view::npos) return false;
    field = text.substr(0, end);
    text.remove_prefix(end + 1);
    return true;
}

template <typename Number>
bool read_number(std::string_view text, Number& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size();
}

bool read_mount(std::string_view value, LaunchMount& mount) {
    const size_t border = value.find('\n');
    if (value.size() < 2 || border == std::string_view::npos) return false;
    mount = {value[0], std::string(value.substr(1, border - 1)), std::string(value.substr(border + 1))};
    return mount.mode == 'r' || mount.mode == 'w' || mount.mode == 'o';
}

bool read_mount_host(std::string_view value, std::vector<LaunchMount>& mounts) {
    return !mounts.empty() && read_number(value, mounts.back().hosts.emplace_back());
}

bool read_parent(std::string_view value, ControlGroupParent& parent) {
    const size_t border = value.find(' ');
    if (value.empty() || border == std::string_view::npos) return false;
    const size_t second = value.find('\n', border);
    if (second == std::string_view::npos) return false;
    parent.controllers = value.substr(border + 1, second - border - 1);
    parent.folder = value.substr(second + 1);
    return read_number(value.substr(0, border), parent.version);
}

// "milli-CPUs memory processes shared-memory"
bool read_limits(std::string_view value, LaunchLimits& limits) {
    const std::string text(value);
    long long milli_cpus = 0, memory = 0, processes = 0, shared = 0;
    int used = 0;
    if (std::sscanf(text.c_str(), "%lld %lld %lld %lld%n", &milli_cpus, &memory, &processes, &shared, &used) != 4 ||
        static_cast<size_t>(used) != text.size())
        return false;
    limits = {static_cast<double>(milli_cpus) / 1000, static_cast<uint64_t>(memory), processes,
              static_cast<uint64_t>(shared)};
    return true;
}

std::string limits_text(const LaunchLimits& limits) {
    return std::to_string(static_cast<int64_t>(limits.cpus * 1000)) + " " + std::to_string(limits.memory_bytes) + " " +
           std::to_string(limits.max_processes) + " " + std::to_string(limits.shared_memory_bytes);
}

// What a server needs to know of a run of the version before: its hosts, mounts and control groups.
bool read_old_member(std::string_view key) {
    return key == "milli_cpus" || key == "memory_bytes" || key == "max_processes" || key == "shared_memory_bytes";
}

bool read_member(LaunchSpec& spec, std::string_view key, std::string_view value) {
    const auto text = [&](std::string& member) { return member = value, true; };
    const auto append = [&](std::vector<std::string>& member) { return member.emplace_back(value), true; };
    if (key == "id") return text(spec.id);
    if (key == "folder") return text(spec.folder);
    if (key == "hosts") return read_number(value, spec.hosts) && spec.hosts >= 1 && spec.hosts <= kMaxHosts;
    if (key == "user_namespace") return spec.user_namespace = true;
    if (key == "overlay") return spec.overlay = true;
    if (key == "isolated") return spec.isolated = true;
    if (key == "spare") return spec.spare = true;
    if (key == "forward_to") return text(spec.forward_to);
    if (key == "egress_socket") return text(spec.egress_socket);
    if (key == "working_folder") return text(spec.working_folder);
    if (key == "companion") return append(spec.companions.emplace_back());
    if (key == "companion_argument") return !spec.companions.empty() && append(spec.companions.back());
    if (key == "argument") return append(spec.command);
    if (key == "environment") return append(spec.environment);
    if (key == "image_layer") return append(spec.image_layers);
    if (key == "user") return text(spec.user);
    if (key == "served_port") return read_number(value, spec.served_port);
    if (key == "mount") return read_mount(value, spec.mounts.emplace_back());
    if (key == "mount_without_links") return !spec.mounts.empty() && !(spec.mounts.back().through_links = false);
    if (key == "mount_host") return read_mount_host(value, spec.mounts);
    if (key == "log_file") return append(spec.log_files);
    if (key == "hidden") return append(spec.hidden);
    if (key == "control_group") return read_parent(value, spec.control_groups.parents.emplace_back());
    if (key == "limits") return read_limits(value, spec.limits.emplace_back());
    if (key == "max_disk_bytes") return read_number(value, spec.max_disk_bytes);
    if (key == "disk_reserve_bytes") return read_number(value, spec.disk_reserve_bytes);
    if (key == "max_log_bytes") return read_number(value, spec.max_log_bytes);
    if (key == "max_runtime_s") return read_number(value, spec.max_runtime_s);
    if (key == "stop_grace_s") return read_number(value, spec.stop_grace_s);
    return spec.version == 1 && read_old_member(key);
}

}  // namespace

const LaunchLimits& LaunchSpec::limits_of(int host) const {
    return limits.size() == 1 ? limits[0] : limits.at(static_cast<size_t>(host));
}

std::string encode_launch_spec(const LaunchSpec& spec) {
    Writer out;
    out.put("id", spec.id);
    out.put("folder", spec.folder);
    out.put("hosts", spec.hosts);
    if (spec.user_namespace) out.put("user_namespace", "");
    if (spec.overlay) out.put("overlay", "");
    if (spec.isolated) out.put("isolated", "");
    if (spec.spare) out.put("spare", "");
    out.put("forward_to", spec.forward_to);
    out.put("egress_socket", spec.egress_socket);
    out.put("working_folder", spec.working_folder);
    for (const std::vector<std::string>& companion : spec.companions)
        for (size_t i = 0; i < companion.size(); ++i)
            out.put(i == 0 ? "companion" : "companion_argument", companion[i]);
    out.put_all("argument", spec.command);
    out.put_all("environment", spec.environment);
    out.put_all("image_layer", spec.image_layers);
    if (!spec.user.empty()) out.put("user", spec.user);
    if (spec.served_port != 0) out.put("served_port", spec.served_port);
    for (const LaunchMount& mount : spec.mounts) {
        out.put("mount", mount.mode + mount.source + "\n" + mount.target);
        if (!mount.through_links) out.put("mount_without_links", "");
        for (const int host : mount.hosts) out.put("mount_host", host);
    }
    out.put_all("log_file", spec.log_files);
    out.put_all("hidden", spec.hidden);
    for (const ControlGroupParent& parent : spec.control_groups.parents)
        out.put("control_group", std::to_string(parent.version) + " " + parent.controllers + "\n" + parent.folder);
    for (const LaunchLimits& limits : spec.limits) out.put("limits", limits_text(limits));
    out.put("max_disk_bytes", std::to_string(spec.max_disk_bytes));
    out.put("disk_reserve_bytes", std::to_string(spec.disk_reserve_bytes));
    out.put("max_log_bytes", std::to_string(spec.max_log_bytes));
    out.put("max_runtime_s", spec.max_runtime_s);
    out.put("stop_grace_s", spec.stop_grace_s);
    return std::move(out).finish();
}

Result<LaunchSpec> decode_launch_spec(std::string_view text) {
    std::string_view key, value;
    if (!next_field(text, key) || (key != kMagic && key != kOldMagic))
        return invalid_input("not a launch file of a known version");
    LaunchSpec spec;
    if (key == kOldMagic) spec.version = 1;
    for (;;) {
        if (!next_field(text, key)) return invalid_input("the launch file is cut off");
        if (key == "end") break;
        if (!next_field(text, value)) return invalid_input("the launch file is cut off");
        if (!read_member(spec, key, value)) return invalid_input("bad launch file entry " + std::string(key));
    }
    if (spec.command.empty() || spec.log_files.size() != static_cast<size_t>(spec.hosts))
        return invalid_input("the launch file lacks a command or log files");
    if (spec.version != 1 && spec.limits.size() != 1 && spec.limits.size() != static_cast<size_t>(spec.hosts))
        return invalid_input("the launch file lacks limits");
    return spec;
}

bool LaunchMount::is_on(int host) const {
    return hosts.empty() || std::find(hosts.begin(), hosts.end(), host) != hosts.end();
}

void number_layers(std::vector<LaunchMount>& mounts, size_t first) {
    std::stable_sort(mounts.begin(), mounts.end(), [](const auto& a, const auto& b) { return a.target < b.target; });
    for (LaunchMount& mount : mounts)
        if (mount.layer < 0) mount.layer = static_cast<int>(first++);
}

std::vector<LaunchMount> late_mounts(const LaunchSpec& spare, const LaunchSpec& work) {
    std::vector<LaunchMount> late;
    for (const LaunchMount& mount : work.mounts) {
        const bool there = std::any_of(spare.mounts.begin(), spare.mounts.end(), [&](const LaunchMount& other) {
            return other.mode == mount.mode && other.source == mount.source && other.target == mount.target &&
                   other.hosts == mount.hosts;
        });
        if (!there) late.push_back(mount);
    }
    return late;
}

std::string host_name(int host) { return "algo-" + std::to_string(host + 1); }
std::string control_group_name(std::string_view id, int host) { return std::string(id) + "." + host_name(host); }

}  // namespace millwright::executors
