// The order in which waiting runs are started: by owner, the one with the least in use first; within an owner first in,
// first out. The head is never overtaken, so a large run cannot starve; it waits until enough is free.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

namespace millwright::jobs {

// Not thread-safe.
class FairQueue {
  public:
    void push(const std::string& owner, uint64_t item);
    void remove(const std::string& owner, uint64_t item);
    // Who is next; ties between owners go to the one who has waited longest.
    std::optional<uint64_t> head() const;
    // `share` of the machine is used by, or freed from, a run of `owner`.
    void started(const std::string& owner, double share);
    void ended(const std::string& owner, double share);
    // How many are started before `item` if nothing ends meanwhile: those pushed earlier, of any owner.
    size_t position(uint64_t item) const;
    bool empty() const { return size_ == 0; }

  private:
    struct Line {
        std::deque<uint64_t> items;  // ascending: items are numbered as they are pushed first
        double in_use = 0;
    };
    std::map<std::string, Line> lines_;
    size_t size_ = 0;
};

}  // namespace millwright::jobs
