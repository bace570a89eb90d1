#include "resources/training_jobs/gpu_usage.h"

#include <dlfcn.h>

namespace millwright::resources {
namespace {

// The few calls of nvml.h that are used, as its documentation declares them. Every call returns 0 when it worked.
using Device = void*;
struct Rates {
    unsigned int gpu, memory;  // percent; `memory` is the share of time in which memory was read or written
};
struct Memory {
    unsigned long long total, free, used;
};

class NoGpus final : public GpuReader {
  public:
    std::optional<GpuUsage> read() override { return std::nullopt; }
};

class Nvml final : public GpuReader {
  public:
    // False when this library or driver does not serve.
    bool load(const char* library) {
        library_ = dlopen(library, RTLD_NOW | RTLD_LOCAL);
        if (!library_) return false;
        int (*init)() = nullptr;
        const bool found = find(init, "nvmlInit_v2") && find(shutdown_, "nvmlShutdown") &&
                           find(count_, "nvmlDeviceGetCount_v2") && find(handle_, "nvmlDeviceGetHandleByIndex_v2") &&
                           find(rates_, "nvmlDeviceGetUtilizationRates") && find(memory_, "nvmlDeviceGetMemoryInfo");
        ready_ = found && init() == 0;
        return ready_;
    }
    ~Nvml() override {
        if (ready_) shutdown_();
        if (library_) dlclose(library_);
    }

    std::optional<GpuUsage> read() override {
        unsigned int count = 0;
        if (count_(&count) != 0 || count == 0) return std::nullopt;
        GpuUsage sum;
        for (unsigned int i = 0; i < count; ++i) {
            Device device = nullptr;
            Rates rates{};
            Memory memory{};
            if (handle_(i, &device) != 0 || rates_(device, &rates) != 0 || memory_(device, &memory) != 0 ||
                memory.total == 0)
                return std::nullopt;
            sum.utilization += rates.gpu;
            sum.memory_utilization += 100 * static_cast<double>(memory.used) / static_cast<double>(memory.total);
        }
        return sum;
    }

  private:
    template <typename Function>
    bool find(Function*& function, const char* name) {
        function = reinterpret_cast<Function*>(dlsym(library_, name));
        return function != nullptr;
    }

    void* library_ = nullptr;
    bool ready_ = false;
    int (*shutdown_)() = nullptr;
    int (*count_)(unsigned int*) = nullptr;
    int (*handle_)(unsigned int, Device*) = nullptr;
    int (*rates_)(Device, Rates*) = nullptr;
    int (*memory_)(Device, Memory*) = nullptr;
};

}  // namespace

std::unique_ptr<GpuReader> GpuReader::open(const char* library) {
    auto nvml = std::make_unique<Nvml>();
    if (nvml->load(library)) return nvml;
    return std::make_unique<NoGpus>();
}

}  // namespace millwright::resources
