#include "executors/process/launch_spec.h"

#include <charconv>
#include <cstdio>

namespace millwright::executors {
namespace {

constexpr std::string_view kMagic = "millwright-launch 1";

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

bool read_parent(std::string_view value, ControlGroupParent& parent) {
    const size_t border = value.find(' ');
    if (value.empty() || border == std::string_view::npos) return false;
    const size_t second = value.find('\n', border);
    if (second == std::string_view::npos) return false;
    parent.controllers = value.substr(border + 1, second - border - 1);
    parent.folder = value.substr(second + 1);
    return read_number(value.substr(0, border), parent.version);
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
    if (key == "forward_to") return text(spec.forward_to);
    if (key == "argument") return append(spec.command);
    if (key == "environment") return append(spec.environment);
    if (key == "mount") return read_mount(value, spec.mounts.emplace_back());
    if (key == "log_file") return append(spec.log_files);
    if (key == "hidden") return append(spec.hidden);
    if (key == "control_group") return read_parent(value, spec.control_groups.parents.emplace_back());
    int64_t milli_cpus = 0;
    if (key == "milli_cpus") {
        if (!read_number(value, milli_cpus)) return false;
        spec.cpus = static_cast<double>(milli_cpus) / 1000;
        return true;
    }
    if (key == "memory_bytes") return read_number(value, spec.memory_bytes);
    if (key == "max_processes") return read_number(value, spec.max_processes);
    if (key == "shared_memory_bytes") return read_number(value, spec.shared_memory_bytes);
    if (key == "max_runtime_s") return read_number(value, spec.max_runtime_s);
    if (key == "stop_grace_s") return read_number(value, spec.stop_grace_s);
    return false;
}

}  // namespace

std::string encode_launch_spec(const LaunchSpec& spec) {
    Writer out;
    out.put("id", spec.id);
    out.put("folder", spec.folder);
    out.put("hosts", spec.hosts);
    if (spec.user_namespace) out.put("user_namespace", "");
    if (spec.overlay) out.put("overlay", "");
    if (spec.isolated) out.put("isolated", "");
    out.put("forward_to", spec.forward_to);
    out.put_all("argument", spec.command);
    out.put_all("environment", spec.environment);
    for (const LaunchMount& mount : spec.mounts) out.put("mount", mount.mode + mount.source + "\n" + mount.target);
    out.put_all("log_file", spec.log_files);
    out.put_all("hidden", spec.hidden);
    for (const ControlGroupParent& parent : spec.control_groups.parents)
        out.put("control_group", std::to_string(parent.version) + " " + parent.controllers + "\n" + parent.folder);
    out.put("milli_cpus", static_cast<int64_t>(spec.cpus * 1000));
    out.put("memory_bytes", std::to_string(spec.memory_bytes));
    out.put("max_processes", spec.max_processes);
    out.put("shared_memory_bytes", std::to_string(spec.shared_memory_bytes));
    out.put("max_runtime_s", spec.max_runtime_s);
    out.put("stop_grace_s", spec.stop_grace_s);
    return std::move(out).finish();
}

Result<LaunchSpec> decode_launch_spec(std::string_view text) {
    std::string_view key, value;
    if (!next_field(text, key) || key != kMagic) return invalid_input("not a launch file of version 1");
    LaunchSpec spec;
    for (;;) {
        if (!next_field(text, key)) return invalid_input("the launch file is cut off");
        if (key == "end") break;
        if (!next_field(text, value)) return invalid_input("the launch file is cut off");
        if (!read_member(spec, key, value)) return invalid_input("bad launch file entry " + std::string(key));
    }
    if (spec.command.empty() || spec.log_files.size() != static_cast<size_t>(spec.hosts))
        return invalid_input("the launch file lacks a command or log files");
    return spec;
}

std::string host_name(int host) { return "algo-" + std::to_string(host + 1); }
std::string control_group_name(std::string_view id, int host) { return std::string(id) + "." + host_name(host); }

}  // namespace millwright::executors
