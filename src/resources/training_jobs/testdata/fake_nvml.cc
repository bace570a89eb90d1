// A library with two busy GPUs in the place of NVIDIA's, for gpu_usage_test.cc.
namespace {

int g_devices[2];
bool g_ready = false;

struct Rates {
    unsigned int gpu, memory;
};
struct Memory {
    unsigned long long total, free, used;
};

}  // namespace

extern "C" {
int nvmlInit_v2() {
    g_ready = true;
    return 0;
}
int nvmlShutdown() {
    g_ready = false;
    return 0;
}
int nvmlDeviceGetCount_v2(unsigned int* count) {
    *count = 2;
    return g_ready ? 0 : 1;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void** device) {
    *device = &g_devices[index];
    return 0;
}
int nvmlDeviceGetUtilizationRates(void* device, Rates* rates) {
    *rates = device == &g_devices[0] ? Rates{100, 7} : Rates{50, 3};
    return 0;
}
int nvmlDeviceGetMemoryInfo(void* device, Memory* memory) {
    *memory = device == &g_devices[0] ? Memory{1000, 750, 250} : Memory{1000, 900, 100};
    return 0;
}
}
