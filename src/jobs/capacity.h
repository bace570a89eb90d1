// What the machine has, what runs need, and how a wish that can never fit is shrunk.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace millwright::jobs {

struct Demand {
    double cpus = 0;
    uint64_t memory_bytes = 0;
};

struct Machine {
    double cpus = 1;
    uint64_t memory_bytes = uint64_t{1} << 30;
};

// The processors this process may use and the memory of the machine (or of our cgroup, if smaller) less a reserve for
// the server itself.
Machine this_machine();

struct Grant {
    Demand per_host;
    std::string note;  // empty when the wish is granted in full: "2 vCPU and 3.0 GiB instead of 4 vCPU and 16.0 GiB"
    std::vector<Demand> by_host{};  // where hosts differ; per_host is then the largest
};

Demand total(const Grant& grant, int hosts);

enum class TooLarge { Shrink, Refuse };

// What each of `hosts` gets when each asks for `wanted`. LimitExceeded when refused: all of them together exceed the
// machine, or the shares would be uselessly small.
Result<Grant> grant(const Machine& machine, const Demand& wanted, int hosts, TooLarge policy);

// The same where hosts differ: too much is shrunk to shares in proportion to the wishes. REQUIRES: not empty.
Result<Grant> grant_each(const Machine& machine, const std::vector<Demand>& wanted, TooLarge policy);

std::string to_text(const Demand& demand);  // "2 vCPU and 7.5 GiB"

// Free and used shares. Not thread-safe.
class Capacity {
  public:
    explicit Capacity(const Machine& machine) : machine_(machine) {}
    bool fits(const Demand& demand) const;
    void take(const Demand& demand);  // also beyond the limit: adopted runs are there already
    void give_back(const Demand& demand);
    Demand free() const;
    const Machine& machine() const { return machine_; }

  private:
    Machine machine_;
    double used_cpus_ = 0;
    uint64_t used_memory_ = 0;
    int users_ = 0;
};

}  // namespace millwright::jobs
