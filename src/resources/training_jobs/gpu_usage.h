// How busy the GPUs of this machine are, by NVIDIA's management library where it is installed.
#pragma once

#include <memory>
#include <optional>

namespace millwright::resources {

// Sums over all GPUs, in percent: up to 100 for each.
struct GpuUsage {
    double utilization = 0, memory_utilization = 0;
};

// Not thread-safe.
class GpuReader {
  public:
    // Looks for libnvidia-ml.so.1; a reader of nothing when it or the GPUs are missing.
    static std::unique_ptr<GpuReader> open();
    virtual ~GpuReader() = default;
    virtual std::optional<GpuUsage> read() = 0;  // none: there is no GPU, or it does not answer
};

}  // namespace millwright::resources
