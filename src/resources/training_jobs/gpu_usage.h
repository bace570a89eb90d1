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
    // A reader of nothing when the library or the GPUs are missing.
    static std::unique_ptr<GpuReader> open(const char* library = "libnvidia-ml.so.1");
    virtual ~GpuReader() = default;
    virtual std::optional<GpuUsage> read() = 0;  // none: there is no GPU, or it does not answer
};

}  // namespace millwright::resources
