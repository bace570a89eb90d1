#include "jobs/capacity.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/files.h"
#include "base/strings.h"

namespace millwright::jobs {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;
// Below this nothing useful runs; better to say so than to start it.
constexpr double kLeastCpus = 0.05;
constexpr uint64_t kLeastMemory = 64 * kMiB;
constexpr double kRounding = 1e-6;

uint64_t memory_limit_of_cgroup() {
    for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
        const auto text = read_file(path, 64);
        if (!text) continue;
        const auto limit = parse_int(trim(*text));
        if (limit && *limit > 0) return static_cast<uint64_t>(*limit);
    }
    return UINT64_MAX;
}

std::string gibibytes(uint64_t bytes) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f GiB", static_cast<double>(bytes) / static_cast<double>(kGiB));
    return text.data();
}

std::string processors(double cpus) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.3g vCPU", cpus);
    return text.data();
}

}  // namespace

Machine this_machine() {
    Machine machine;
    cpu_set_t usable;
    CPU_ZERO(&usable);
    machine.cpus = sched_getaffinity(0, sizeof usable, &usable) == 0 ? CPU_COUNT(&usable) : 1;
    const auto pages = static_cast<uint64_t>(std::max(1L, sysconf(_SC_PHYS_PAGES)));
    const auto page_size = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    const uint64_t total = std::min(pages * page_size, memory_limit_of_cgroup());
    const uint64_t reserve = std::min(total / 8, kGiB);
    machine.memory_bytes = total - reserve;
    return machine;
}

std::string to_text(const Demand& demand) { return processors(demand.cpus) + " and " + gibibytes(demand.memory_bytes); }

Result<Grant> grant(const Machine& machine, const Demand& wanted, int hosts, TooLarge policy) {
    const Demand largest{machine.cpus / hosts, machine.memory_bytes / static_cast<uint64_t>(hosts)};
    const Demand share{std::min(wanted.cpus, largest.cpus), std::min(wanted.memory_bytes, largest.memory_bytes)};
    const bool whole = share.cpus >= wanted.cpus - kRounding && share.memory_bytes == wanted.memory_bytes;
    if (whole) return Grant{share, "", {}};
    const std::string asked = std::to_string(hosts) + (hosts == 1 ? " host" : " hosts") + " of " + to_text(wanted);
    const std::string has = "this machine has " + to_text({machine.cpus, machine.memory_bytes});
    if (policy == TooLarge::Refuse) return Error{ErrorKind::LimitExceeded, asked + " can never fit: " + has + ".", ""};
    if (share.cpus < kLeastCpus || share.memory_bytes < std::min(kLeastMemory, wanted.memory_bytes)) {
        return Error{ErrorKind::LimitExceeded, asked + " would leave too little for each: " + has + ".", ""};
    }
    return Grant{share, to_text(share) + " instead of " + to_text(wanted), {}};
}

Result<Grant> grant_each(const Machine& machine, const std::vector<Demand>& wanted, TooLarge policy) {
    Demand all;
    for (const auto& host : wanted) {
        all.cpus += host.cpus;
        all.memory_bytes += host.memory_bytes;
    }
    Grant granted;
    granted.by_host = wanted;
    const double of_cpus = std::min(1.0, machine.cpus / all.cpus);
    const double of_memory =
        std::min(1.0, static_cast<double>(machine.memory_bytes) / static_cast<double>(all.memory_bytes));
    const bool whole = of_cpus > 1 - kRounding && of_memory >= 1;
    if (!whole) {
        const auto asked = std::to_string(wanted.size()) + " hosts of together " + to_text(all);
        const auto has = "this machine has " + to_text({machine.cpus, machine.memory_bytes});
        if (policy == TooLarge::Refuse)
            return Error{ErrorKind::LimitExceeded, asked + " can never fit: " + has + ".", ""};
        for (auto& host : granted.by_host) {
            const auto least = std::min(kLeastMemory, host.memory_bytes);
            host.cpus *= of_cpus;
            host.memory_bytes = static_cast<uint64_t>(static_cast<double>(host.memory_bytes) * of_memory);
            if (host.cpus >= kLeastCpus && host.memory_bytes >= least) continue;
            return Error{ErrorKind::LimitExceeded, asked + " would leave too little for each: " + has + ".", ""};
        }
        granted.note = "together " + to_text(total(granted, 0)) + " instead of " + to_text(all);
    }
    for (const auto& host : granted.by_host) {
        granted.per_host.cpus = std::max(granted.per_host.cpus, host.cpus);
        granted.per_host.memory_bytes = std::max(granted.per_host.memory_bytes, host.memory_bytes);
    }
    return granted;
}

Demand total(const Grant& grant, int hosts) {
    if (grant.by_host.empty())
        return {grant.per_host.cpus * hosts, grant.per_host.memory_bytes * static_cast<uint64_t>(hosts)};
    Demand all;
    for (const auto& host : grant.by_host) {
        all.cpus += host.cpus;
        all.memory_bytes += host.memory_bytes;
    }
    return all;
}

bool Capacity::fits(const Demand& demand) const {
    // Alone on the machine everything fits: a wish was shrunk when it was made, or the machine has shrunk since.
    if (users_ == 0) return true;
    return used_cpus_ + demand.cpus <= machine_.cpus + kRounding &&
           used_memory_ + demand.memory_bytes <= machine_.memory_bytes;
}

void Capacity::take(const Demand& demand) {
    used_cpus_ += demand.cpus;
    used_memory_ += demand.memory_bytes;
    ++users_;
}

void Capacity::give_back(const Demand& demand) {
    used_cpus_ -= demand.cpus;
    used_memory_ -= demand.memory_bytes;
    if (--users_ == 0) used_cpus_ = 0;  // no drift from rounding
}

Demand Capacity::free() const {
    return {std::max(0.0, machine_.cpus - used_cpus_),
            used_memory_ < machine_.memory_bytes ? machine_.memory_bytes - used_memory_ : 0};
}

}  // namespace millwright::jobs
