#include "resources/instance_types/instance_types.h"

#include <unistd.h>

#include <string>

#include <algorithm>
#include <charconv>

namespace millwright::resources {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

// AWS names sizes regularly: within a family memory per processor is (nearly) constant, and a size is a processor
// count. What is not regular stands in kExact.
struct Family {
    std::string_view name;
    double gib_per_vcpu;
};
constexpr Family kFamilies[] = {
    {"c4", 1.875},   {"c5", 2},   {"c5d", 2},  {"c5n", 2.625},  {"c6g", 2},  {"c6gd", 2}, {"c6gn", 2},     {"c6i", 2},
    {"c6in", 2},     {"c7g", 2},  {"c7i", 2},  {"c7i-flex", 2}, {"c8g", 2},  {"c8i", 2},  {"c8i-flex", 2}, {"g5", 4},
    {"g6", 4},       {"g6e", 8},  {"g7", 8},   {"g7e", 8},      {"m4", 4},   {"m5", 4},   {"m5d", 4},      {"m6g", 4},
    {"m6gd", 4},     {"m6i", 4},  {"m7i", 4},  {"m7i-flex", 4}, {"m8g", 4},  {"m8i", 4},  {"m8i-flex", 4}, {"r5", 8},
    {"r5d", 8},      {"r6g", 8},  {"r6gd", 8}, {"r6i", 8},      {"r7gd", 8}, {"r7i", 8},  {"r8g", 8},      {"r8i", 8},
    {"r8i-flex", 8}, {"inf1", 2}, {"inf2", 4}, {"g4dn", 4},
};

struct Exact {
    std::string_view name;  // without "ml."
    int vcpus;
    int gib;
    int gpus;
};
constexpr Exact kExact[] = {
    {"c4.8xlarge", 36, 60, 0},
    {"m4.10xlarge", 40, 160, 0},
    {"c5.9xlarge", 36, 72, 0},
    {"c5d.9xlarge", 36, 72, 0},
    {"c5n.9xlarge", 36, 96, 0},
    {"c5.18xlarge", 72, 144, 0},
    {"c5d.18xlarge", 72, 144, 0},
    {"c5n.18xlarge", 72, 192, 0},
    {"t2.medium", 2, 4, 0},
    {"t2.large", 2, 8, 0},
    {"t2.xlarge", 4, 16, 0},
    {"t2.2xlarge", 8, 32, 0},
    {"t3.medium", 2, 4, 0},
    {"t3.large", 2, 8, 0},
    {"t3.xlarge", 4, 16, 0},
    {"t3.2xlarge", 8, 32, 0},
    {"g4dn.xlarge", 4, 16, 1},
    {"g4dn.2xlarge", 8, 32, 1},
    {"g4dn.4xlarge", 16, 64, 1},
    {"g4dn.8xlarge", 32, 128, 1},
    {"g4dn.12xlarge", 48, 192, 4},
    {"g4dn.16xlarge", 64, 256, 1},
    {"g5.12xlarge", 48, 192, 4},
    {"g5.24xlarge", 96, 384, 4},
    {"g5.48xlarge", 192, 768, 8},
    {"g6.12xlarge", 48, 192, 4},
    {"g6.24xlarge", 96, 384, 4},
    {"g6.48xlarge", 192, 768, 8},
    {"g6e.xlarge", 4, 32, 1},
    {"g6e.2xlarge", 8, 64, 1},
    {"g6e.4xlarge", 16, 128, 1},
    {"g6e.8xlarge", 32, 256, 1},
    {"g6e.12xlarge", 48, 384, 4},
    {"g6e.16xlarge", 64, 512, 1},
    {"g6e.24xlarge", 96, 768, 4},
    {"g6e.48xlarge", 192, 1536, 8},
    {"g7.12xlarge", 48, 384, 2},
    {"g7.24xlarge", 96, 768, 4},
    {"g7.48xlarge", 192, 1536, 8},
    {"g7e.12xlarge", 48, 512, 2},
    {"g7e.24xlarge", 96, 1024, 4},
    {"g7e.48xlarge", 192, 2048, 8},
    {"g7e.2xlarge", 8, 64, 1},
    {"g7e.4xlarge", 16, 128, 1},
    {"g7e.8xlarge", 32, 256, 1},
    {"p2.xlarge", 4, 61, 1},
    {"p2.8xlarge", 32, 488, 8},
    {"p2.16xlarge", 64, 732, 16},
    {"p3.2xlarge", 8, 61, 1},
    {"p3.8xlarge", 32, 244, 4},
    {"p3.16xlarge", 64, 488, 8},
    {"p3dn.24xlarge", 96, 768, 8},
    {"p4d.24xlarge", 96, 1152, 8},
    {"p4de.24xlarge", 96, 1152, 8},
    {"p5.4xlarge", 16, 256, 1},
    {"p5.48xlarge", 192, 2048, 8},
    {"p5e.48xlarge", 192, 2048, 8},
    {"p5en.48xlarge", 192, 2048, 8},
    {"p6-b200.48xlarge", 192, 2048, 8},
    {"p6-b300.48xlarge", 192, 4096, 8},
    {"p6e-gb200.36xlarge", 144, 960, 4},
    {"dl1.24xlarge", 96, 768, 8},
    {"inf1.xlarge", 4, 8, 1},
    {"inf1.2xlarge", 8, 16, 1},
    {"inf1.6xlarge", 24, 48, 4},
    {"inf1.24xlarge", 96, 192, 16},
    {"inf2.xlarge", 4, 16, 1},
    {"inf2.8xlarge", 32, 128, 1},
    {"inf2.24xlarge", 96, 384, 6},
    {"inf2.48xlarge", 192, 768, 12},
    {"trn1.2xlarge", 8, 32, 1},
    {"trn1.32xlarge", 128, 512, 16},
    {"trn1n.32xlarge", 128, 512, 16},
    {"trn2.48xlarge", 192, 2048, 16},
};

// medium 1 (of the families here), large 2, xlarge 4, Nxlarge 4N.
int vcpus_of_size(std::string_view size) {
    if (size == "medium") return 1;
    if (size == "large") return 2;
    if (size == "xlarge") return 4;
    int multiple = 0;
    const auto [end, failure] = std::from_chars(size.data(), size.data() + size.size(), multiple);
    const std::string_view rest(end, static_cast<size_t>(size.data() + size.size() - end));
    if (failure != std::errc() || rest != "xlarge" || multiple < 2 || multiple > 128) return 0;
    return 4 * multiple;
}

int accelerators_of(std::string_view family) { return family.starts_with('g') ? 1 : 0; }

}  // namespace

std::optional<InstanceType> find_instance_type(std::string_view name) {
    if (!name.starts_with("ml.")) return std::nullopt;
    name.remove_prefix(3);
    for (const auto& exact : kExact) {
        if (exact.name == name) return InstanceType{exact.vcpus, static_cast<uint64_t>(exact.gib) * kGiB, exact.gpus};
    }
    const auto dot = name.find('.');
    if (dot == std::string_view::npos) return std::nullopt;
    const auto family = name.substr(0, dot);
    const auto found =
        std::find_if(std::begin(kFamilies), std::end(kFamilies), [&](const Family& f) { return f.name == family; });
    const int vcpus = vcpus_of_size(name.substr(dot + 1));
    if (found == std::end(kFamilies) || vcpus == 0) return std::nullopt;
    const auto memory = static_cast<uint64_t>(found->gib_per_vcpu * vcpus * static_cast<double>(kGiB));
    return InstanceType{vcpus, memory, accelerators_of(family)};
}

int nvidia_gpus_of(std::string_view name) {
    const bool nvidia = name.starts_with("ml.p") || (name.starts_with("ml.g") && !name.starts_with("ml.g4ad"));
    const auto type = find_instance_type(name);
    return nvidia && type ? type->gpus : 0;
}

int nvidia_gpus_here() {
    constexpr int kMost = 64;
    int count = 0;
    for (int i = 0; i < kMost; ++i)
        if (access(("/dev/nvidia" + std::to_string(i)).c_str(), F_OK) == 0) ++count;
    return count;
}

}  // namespace millwright::resources
