#include "programs/runner/machine.h"

#include <dirent.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "base/files.h"
#include "base/strings.h"
#include "programs/runner/process.h"

namespace millwright::runner {
namespace {

constexpr const char* kToolkit = "/opt/millwright/python";

Variables own_variables() {
    Variables out;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const size_t equals = text.find('=');
        if (equals != std::string_view::npos) out[std::string(text.substr(0, equals))] = text.substr(equals + 1);
    }
    return out;
}

// "200000 100000" in cpu.max of the own control group, where it can be seen: two processors.
int quota() {
    const auto text = read_file("/sys/fs/cgroup/cpu.max", 128);
    if (!text) return 0;
    const auto parts = split(trim(*text), ' ');
    if (parts.size() != 2) return 0;
    const auto time = parse_int(parts[0]), period = parse_int(parts[1]);
    return time && period && *period > 0 ? static_cast<int>((*time + *period - 1) / *period) : 0;
}

int count_cpus(const Variables& variables) {
    const auto given = variables.find("MILLWRIGHT_CPUS");
    if (given != variables.end())
        if (const auto count = parse_int(given->second); count && *count > 0) return static_cast<int>(*count);
    cpu_set_t set;
    CPU_ZERO(&set);
    const int may_use = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    const int limit = quota();
    return std::max(1, limit > 0 ? std::min(limit, may_use) : may_use);
}

// Device nodes /dev/nvidia0, /dev/nvidia1, …: the job sees those it was given.
int count_gpus() {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/dev"), closedir);
    int count = 0;
    while (const dirent* entry = folder ? readdir(folder.get()) : nullptr) {
        const std::string_view name(entry->d_name);
        count += name.starts_with("nvidia") && parse_int(name.substr(6)).has_value();
    }
    return count;
}

}  // namespace

script_mode::Machine look_at_machine() {
    script_mode::Machine out;
    out.variables = own_variables();
    out.cpus = count_cpus(out.variables);
    out.gpus = count_gpus();
    for (const char* name : {"python", "python3"})
        if (out.python.empty()) out.python = find_program(name, out.variables, "/");
    const auto given = out.variables.find("MILLWRIGHT_PYTHON");
    const std::string toolkit = given == out.variables.end() ? kToolkit : given->second;
    if (file_exists(toolkit)) out.toolkit = toolkit;
    return out;
}

}  // namespace millwright::runner
