#include "jobs/fair_queue.h"

#include <algorithm>

namespace millwright::jobs {

void FairQueue::push(const std::string& owner, uint64_t item) {
    auto& items = lines_[owner].items;
    items.insert(std::lower_bound(items.begin(), items.end(), item), item);
    ++size_;
}

void FairQueue::remove(const std::string& owner, uint64_t item) {
    const auto line = lines_.find(owner);
    if (line == lines_.end()) return;
    auto& items = line->second.items;
    const auto found = std::lower_bound(items.begin(), items.end(), item);
    if (found != items.end() && *found == item) {
        items.erase(found);
        --size_;
    }
    if (line->second.items.empty() && line->second.in_use <= 0) lines_.erase(line);
}

std::optional<uint64_t> FairQueue::head() const {
    const Line* best = nullptr;
    for (const auto& [owner, line] : lines_) {
        if (line.items.empty()) continue;
        if (!best || line.in_use < best->in_use ||
            (line.in_use == best->in_use && line.items.front() < best->items.front())) {
            best = &line;
        }
    }
    if (!best) return std::nullopt;
    return best->items.front();
}

void FairQueue::started(const std::string& owner, double share) { lines_[owner].in_use += share; }

void FairQueue::ended(const std::string& owner, double share) {
    const auto line = lines_.find(owner);
    if (line == lines_.end()) return;
    line->second.in_use -= share;
    if (line->second.in_use < 1e-9) line->second.in_use = 0;
    if (line->second.items.empty() && line->second.in_use <= 0) lines_.erase(line);
}

size_t FairQueue::position(uint64_t item) const {
    size_t before = 0;
    for (const auto& [owner, line] : lines_) {
        before +=
            static_cast<size_t>(std::lower_bound(line.items.begin(), line.items.end(), item) - line.items.begin());
    }
    return before;
}

}  // namespace millwright::jobs
