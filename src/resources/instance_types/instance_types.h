// Instance type names as labels: what a machine of that name has. Used for limits, scheduling and the meter.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace millwright::resources {

struct InstanceType {
    int vcpus = 0;
    uint64_t memory_bytes = 0;
    int gpus = 0;  // accelerators of any kind
};

// "ml.m5.xlarge" -> {4, 16 GiB, 0}. Knows every label of the SageMaker enums (training, hosting, processing,
// transform).
std::optional<InstanceType> find_instance_type(std::string_view name);
// Those of its accelerators that are NVIDIA's GPUs.
int nvidia_gpus_of(std::string_view name);
// NVIDIA's GPUs in this machine, by their device nodes.
int nvidia_gpus_here();

}  // namespace millwright::resources
