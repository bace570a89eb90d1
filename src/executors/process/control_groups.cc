#include "executors/process/control_groups.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <map>
#include <string_view>

namespace millwright::executors {
namespace {

constexpr const char* kFolderName = "millwright";
constexpr std::string_view kLeafSuffix = "/millwright-server";
constexpr const char* kWanted[] = {"cpu", "memory", "pids"};

// Control files are written by one write(2), never created.
Result<void> put(const std::string& path, std::string_view text) {
    const Fd file = TRY(open_file(path, O_WRONLY));
    if (::write(file.get(), text.data(), text.size()) < 0) return error_from_errno("cannot write " + path);
    return {};
}

bool contains_word(std::string_view list, std::string_view word) {
    for (size_t at = list.find(word); at != std::string_view::npos; at = list.find(word, at + 1)) {
        const size_t end = at + word.size();
        const auto border = [](char c) { return c == ' ' || c == ',' || c == '\n'; };
        if ((at == 0 || border(list[at - 1])) && (end == list.size() || border(list[end]))) return true;
    }
    return false;
}

template <typename Use>
void for_each_line(std::string_view text, Use use) {
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        use(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

// The number after `key` at the beginning of a line; 0 when there is none.
uint64_t number_in(std::string_view text, std::string_view key) {
    uint64_t number = 0;
    for_each_line(text, [&](std::string_view line) {
        if (!line.starts_with(key) || number != 0) return;
        line.remove_prefix(key.size());
        std::from_chars(line.data(), line.data() + line.size(), number);
    });
    return number;
}

std::vector<std::string_view> words(std::string_view line) {
    std::vector<std::string_view> out;
    while (!line.empty()) {
        const size_t end = std::min(line.find(' '), line.size());
        if (end > 0) out.push_back(line.substr(0, end));
        line.remove_prefix(std::min(end + 1, line.size()));
    }
    return out;
}

struct Hierarchy {
    std::string mount_point, root;  // `root`: which group the mount point shows
    std::string controllers;        // v1: super options; v2: empty
    int version = 1;
};

std::vector<Hierarchy> mounted_hierarchies() {
    std::vector<Hierarchy> found;
    const auto table = read_file("/proc/self/mountinfo");
    if (!table) return found;
    for_each_line(*table, [&](std::string_view line) {
        const size_t dash = line.find(" - ");
        if (dash == std::string_view::npos) return;
        const auto left = words(line.substr(0, dash));
        const auto right = words(line.substr(dash + 3));
        if (left.size() < 5 || right.size() < 3) return;
        if (right[0] == "cgroup2") found.push_back({std::string(left[4]), std::string(left[3]), "", 2});
        if (right[0] == "cgroup")
            found.push_back({std::string(left[4]), std::string(left[3]), std::string(right[2]), 1});
    });
    return found;
}

// Controller list ("" for v2) -> the group of this process.
std::map<std::string, std::string, std::less<>> own_groups() {
    std::map<std::string, std::string, std::less<>> groups;
    const auto table = read_file("/proc/self/cgroup");
    if (!table) return groups;
    for_each_line(*table, [&](std::string_view line) {
        const size_t first = line.find(':');
        const size_t second = line.find(':', first + 1);
        if (first == std::string_view::npos || second == std::string_view::npos) return;
        groups.emplace(line.substr(first + 1, second - first - 1), line.substr(second + 1));
    });
    return groups;
}

// Folder of `group` below the mount point, which may itself show only a part of the hierarchy.
std::string folder_of(const Hierarchy& hierarchy, std::string_view group) {
    if (hierarchy.root != "/" && group.starts_with(hierarchy.root)) group.remove_prefix(hierarchy.root.size());
    std::string folder = hierarchy.mount_point;
    if (!group.empty() && group != "/") {
        if (group.front() != '/') folder += '/';
        folder += group;
    }
    return folder;
}

Result<void> make_folder(const std::string& path) {
    if (mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return {};
    return error_from_errno("cannot make the control group " + path);
}

// Groups with processes may not hand controllers on, the root excepted: the server steps aside into a leaf.
Result<std::string> hand_on_controllers(const std::string& own) {
    const std::string available = TRY(read_file(own + "/cgroup.controllers"));
    std::string wanted, list;
    for (const char* controller : kWanted)
        if (contains_word(available, controller)) {
            wanted += std::string(wanted.empty() ? "+" : " +") + controller;
            list += std::string(list.empty() ? "" : " ") + controller;
        }
    if (list.empty()) return Error{ErrorKind::Unavailable, "cgroup v2 hands no controllers to " + own, ""};
    if (!put(own + "/cgroup.subtree_control", wanted)) {
        TRY(make_folder(own + "/millwright-server"));
        TRY(put(own + "/millwright-server/cgroup.procs", "0"));
        TRY(put(own + "/cgroup.subtree_control", wanted));
    }
    const std::string parent = own + "/" + kFolderName;
    TRY(make_folder(parent));
    TRY(put(parent + "/cgroup.subtree_control", wanted));
    // All runs together weigh half as much as the server. A wish: without it runs go on.
    static_cast<void>(put(parent + "/cpu.weight", "50").has_value());
    return list;
}

void set_limits(std::map<std::string, std::string>& files, const ControlGroupParent& parent,
                const ControlGroupLimits& limits) {
    const auto microseconds = static_cast<int64_t>(limits.cpus * 100000);
    const std::string quota = std::to_string(std::max<int64_t>(microseconds, 1000));
    const std::string memory = std::to_string(limits.memory_bytes);
    if (contains_word(parent.controllers, "cpu") && limits.cpus > 0) {
        if (parent.version == 2)
            files["cpu.max"] = quota + " 100000";
        else
            files["cpu.cfs_quota_us"] = quota;
    }
    if (contains_word(parent.controllers, "memory") && limits.memory_bytes > 0)
        files[parent.version == 2 ? "memory.max" : "memory.limit_in_bytes"] = memory;
    if (contains_word(parent.controllers, "pids") && limits.max_processes > 0)
        files["pids.max"] = std::to_string(limits.max_processes);
}

// Without this a run that reaches its limit is swapped out instead of ended. Absent where swap is not accounted.
void forbid_swap(const std::string& group, const ControlGroupParent& parent, uint64_t memory_bytes) {
    if (!contains_word(parent.controllers, "memory") || memory_bytes == 0) return;
    if (parent.version == 2)
        static_cast<void>(put(group + "/memory.swap.max", "0").has_value());
    else
        static_cast<void>(put(group + "/memory.memsw.limit_in_bytes", std::to_string(memory_bytes)).has_value());
}

void kill_processes(const std::string& group) {
    if (put(group + "/cgroup.kill", "1")) return;
    const auto list = read_file(group + "/cgroup.procs");
    if (!list) return;
    for_each_line(*list, [](std::string_view line) {
        pid_t pid = 0;
        if (std::from_chars(line.data(), line.data() + line.size(), pid).ec == std::errc() && pid > 1)
            ::kill(pid, SIGKILL);
    });
}

Result<void> remove_group(const std::string& group) {
    // Killed processes leave the group when they are reaped; a few seconds are plenty for what kills cannot delay.
    for (int attempt = 0; attempt < 500; ++attempt) {
        if (rmdir(group.c_str()) == 0 || errno == ENOENT) return {};
        if (errno != EBUSY) return error_from_errno("cannot remove the control group " + group);
        kill_processes(group);
        usleep(attempt < 20 ? 1000 : 10000);
    }
    return Error{ErrorKind::Unavailable, "processes do not leave the control group " + group, ""};
}

}  // namespace

bool ControlGroups::has(std::string_view controller) const {
    for (const ControlGroupParent& parent : parents)
        if (contains_word(parent.controllers, controller)) return true;
    return false;
}

ControlGroups find_control_groups(std::string& why) {
    ControlGroups found;
    const auto own = own_groups();
    for (const Hierarchy& hierarchy : mounted_hierarchies()) {
        std::string controllers, group;
        for (const auto& [list, path] : own) {
            if (hierarchy.version == 2 ? !list.empty()
                                       : list.empty() || hierarchy.controllers.find(list) == std::string::npos)
                continue;
            if (hierarchy.version == 1 && !contains_word(hierarchy.controllers, list.substr(0, list.find(','))))
                continue;
            controllers = list;
            group = path;
        }
        if (group.empty()) continue;
        if (hierarchy.version == 2) {
            if (group.ends_with(kLeafSuffix)) group.resize(group.size() - kLeafSuffix.size());  // stepped aside before
            const std::string folder = folder_of(hierarchy, group);
            auto handed = hand_on_controllers(folder);
            if (handed)
                found.parents.push_back({folder + "/" + kFolderName, *handed, 2});
            else
                why += (why.empty() ? "" : "; ") + handed.error().message;
            continue;
        }
        const std::string folder = folder_of(hierarchy, group);
        bool wanted = false;
        for (const char* controller : kWanted) wanted = wanted || contains_word(controllers, controller);
        wanted = wanted || contains_word(controllers, "cpuacct");  // v2 counts in "cpu"
        if (!wanted || found.has(controllers)) continue;
        auto made = make_folder(folder + "/" + kFolderName);
        // It may be there because another user's server made it.
        if (made && access((folder + "/" + kFolderName).c_str(), W_OK) != 0)
            made = error_from_errno("cannot use the control group " + folder + "/" + kFolderName);
        if (made) {
            // All runs together weigh half as much as one task of the server. Shares are a wish: without them runs go
            // on.
            static_cast<void>(put(folder + "/" + kFolderName + "/cpu.shares", "512").has_value());
            found.parents.push_back({folder + "/" + kFolderName, controllers, 1});
        } else {
            why += (why.empty() ? "" : "; ") + made.error().message + " (" + made.error().detail + ")";
        }
    }
    if (found.has("cpu") && found.has("memory") && found.has("pids"))
        why.clear();  // hybrid: the other version lacks them
    if (found.parents.empty() && why.empty()) why = "no cgroup hierarchy with cpu, memory or pids is mounted";
    return found;
}

Result<void> make_control_group(const ControlGroups& groups, const std::string& name,
                                const ControlGroupLimits& limits) {
    for (const ControlGroupParent& parent : groups.parents) {
        const std::string group = parent.folder + "/" + name;
        if (mkdir(group.c_str(), 0755) != 0) {
            if (errno == ENOENT) TRY(make_folder(parent.folder));
            TRY(make_folder(group));
        }
        std::map<std::string, std::string> files;
        set_limits(files, parent, limits);
        for (const auto& [file, value] : files) TRY(put(group + "/" + file, value));
        forbid_swap(group, parent, limits.memory_bytes);
    }
    return {};
}

Result<std::vector<Fd>> open_control_group(const ControlGroups& groups, const std::string& name) {
    std::vector<Fd> files;
    for (const ControlGroupParent& parent : groups.parents) {
        // v1: a thread that moves itself by "tasks" does not wait for the whole machine, one that is moved does.
        const char* file = parent.version == 1 ? "/tasks" : "/cgroup.procs";
        files.push_back(TRY(open_file(parent.folder + "/" + name + file, O_WRONLY)));
    }
    return files;
}

uint64_t count_memory_kills(const ControlGroups& groups, const std::string& name) {
    uint64_t kills = 0;
    for (const ControlGroupParent& parent : groups.parents) {
        if (!contains_word(parent.controllers, "memory")) continue;
        const char* file = parent.version == 1 ? "/memory.oom_control" : "/memory.events";
        const auto text = read_file(parent.folder + "/" + name + file);
        if (!text) continue;
        for_each_line(*text, [&](std::string_view line) {
            if (!line.starts_with("oom_kill ")) return;
            line.remove_prefix(9);
            std::from_chars(line.data(), line.data() + line.size(), kills);
        });
    }
    return kills;
}

std::chrono::milliseconds used_cpu(const ControlGroups& groups, const std::string& name) {
    for (const ControlGroupParent& parent : groups.parents) {
        const std::string group = parent.folder + "/" + name;
        if (parent.version == 1 && contains_word(parent.controllers, "cpuacct"))
            if (const auto text = read_file(group + "/cpuacct.usage"))
                return std::chrono::milliseconds(number_in(*text, "") / 1'000'000);
        if (parent.version == 2 && contains_word(parent.controllers, "cpu"))
            if (const auto text = read_file(group + "/cpu.stat"))
                return std::chrono::milliseconds(number_in(*text, "usage_usec ") / 1000);
    }
    return {};
}

uint64_t used_memory(const ControlGroups& groups, const std::string& name) {
    for (const ControlGroupParent& parent : groups.parents) {
        if (!contains_word(parent.controllers, "memory")) continue;
        const std::string group = parent.folder + "/" + name;
        const auto all = read_file(group + (parent.version == 1 ? "/memory.usage_in_bytes" : "/memory.current"));
        const auto parts = read_file(group + "/memory.stat");
        if (!all || !parts) continue;
        const uint64_t bytes = number_in(*all, "");
        const uint64_t idle = number_in(*parts, parent.version == 1 ? "total_inactive_file " : "inactive_file ");
        return bytes > idle ? bytes - idle : 0;
    }
    return 0;
}

Result<void> remove_control_group(const ControlGroups& groups, const std::string& name) {
    Result<void> result;
    for (const ControlGroupParent& parent : groups.parents) {
        auto removed = remove_group(parent.folder + "/" + name);
        if (!removed) result = std::move(removed);
    }
    return result;
}

void remove_empty_parents(const ControlGroups& groups) {
    for (const ControlGroupParent& parent : groups.parents)
        if (parent.version == 1) rmdir(parent.folder.c_str());
}

}  // namespace millwright::executors
