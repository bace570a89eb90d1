// How fast a host may talk: who writes without end waits, as with a slow terminal, instead of keeping us and whoever
// follows the log busy.
#pragma once

#include <algorithm>
#include <cstdint>

namespace millwright::launcher {

class LogPace {
  public:
    // `kept`: what is written down, else dropped.
    void took(size_t bytes, bool kept, int64_t time_ns) {
        const int64_t rate = kept ? kKeptBytesPerSecond : kDroppedBytesPerSecond;
        due_ns_ = std::max(due_ns_, time_ns - kBurstSeconds * kSecond) + static_cast<int64_t>(bytes) * kSecond / rate;
    }
    // When more may be taken; not after `time_ns`: at once.
    int64_t next_ns() const { return due_ns_; }

  private:
    static constexpr int64_t kSecond = 1'000'000'000;
    static constexpr int64_t kKeptBytesPerSecond = int64_t{8} << 20;
    static constexpr int64_t kDroppedBytesPerSecond = int64_t{64} << 20;
    static constexpr int64_t kBurstSeconds = 2;
    int64_t due_ns_ = 0;
};

}  // namespace millwright::launcher
