#include "executors/process/usage.h"

#include <dirent.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>

#include "base/files.h"

namespace millwright::executors {
namespace {

// Of all live processes and those they have waited for.
struct ProcessUsage {
    pid_t parent = 0;
    uint64_t cpu_ticks = 0, memory_pages = 0;
};

bool read_process(const std::string& folder, ProcessUsage& usage) {
    const auto status = read_file(folder + "/stat", 4096);
    const size_t end = status ? status->rfind(')') : std::string::npos;  // names may hold anything
    if (end == std::string::npos) return false;
    char state = 0;
    unsigned long long user = 0, system = 0, children_user = 0, children_system = 0;
    if (std::sscanf(status->c_str() + end + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu", &state,
                    &usage.parent, &user, &system, &children_user, &children_system) != 6)
        return false;
    usage.cpu_ticks = user + system + children_user + children_system;
    const auto memory = read_file(folder + "/statm", 4096);
    unsigned long long size = 0, resident = 0, shared = 0;
    if (memory && std::sscanf(memory->c_str(), "%llu %llu %llu", &size, &resident, &shared) == 3 && resident > shared)
        usage.memory_pages = resident - shared;
    return true;
}

void measure_processes(pid_t init, HostUsage& usage) {
    std::map<pid_t, ProcessUsage> all;
    const std::unique_ptr<DIR, int (*)(DIR*)> list(opendir("/proc"), closedir);
    while (const dirent* entry = list ? readdir(list.get()) : nullptr) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
        ProcessUsage process;
        if (read_process(std::string("/proc/") + entry->d_name, process)) all[std::atoi(entry->d_name)] = process;
    }
    uint64_t ticks = 0, pages = 0;
    for (const auto& [pid, process] : all) {
        pid_t ancestor = pid;
        for (int depth = 0; depth < 256 && ancestor > 1 && ancestor != init; ++depth) {
            const auto found = all.find(ancestor);
            ancestor = found == all.end() ? 0 : found->second.parent;
        }
        if (ancestor != init) continue;
        ticks += process.cpu_ticks;
        pages += process.memory_pages;
    }
    const auto per_second = static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
    if (usage.cpu.count() == 0) usage.cpu = std::chrono::milliseconds(ticks * 1000 / per_second);
    if (usage.memory_bytes == 0) usage.memory_bytes = pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

void measure_host(const ControlGroups& groups, const std::string& name, pid_t init, HostUsage& usage) {
    usage.cpu = used_cpu(groups, name);
    usage.memory_bytes = used_memory(groups, name);
    if ((usage.cpu.count() == 0 || usage.memory_bytes == 0) && init > 1) measure_processes(init, usage);
}

}  // namespace millwright::executors
