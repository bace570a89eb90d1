#include <sys/utsname.h>

#include <algorithm>

#include "oci/image.h"

namespace millwright::oci {
namespace {

// As Go names them, from what uname says.
Platform from_machine(std::string_view machine) {
    if (machine == "x86_64") return {"amd64", "linux", ""};
    if (machine == "aarch64") return {"arm64", "linux", ""};
    if (machine == "armv7l") return {"arm", "linux", "v7"};
    if (machine == "armv6l") return {"arm", "linux", "v6"};
    if (machine == "i686" || machine == "i386") return {"386", "linux", ""};
    if (machine == "loongarch64") return {"loong64", "linux", ""};
    return {std::string(machine), "linux", ""};  // ppc64le, riscv64, s390x
}

// The variants that say nothing more than the architecture does.
std::string_view plain_variant(const Platform& platform) {
    if (platform.architecture == "amd64" && platform.variant == "v1") return "";
    if (platform.architecture == "arm64" && platform.variant == "v8") return "";
    return platform.variant;
}

// 0: cannot be used.
int fitness(const Descriptor& entry, const Platform& wanted) {
    if (!entry.platform) return 1;  // an index of one image often says nothing
    if (entry.platform->os != wanted.os || entry.platform->architecture != wanted.architecture) return 0;
    return plain_variant(*entry.platform) == plain_variant(wanted) ? 3 : 2;
}

std::string text_of(const Platform& platform) {
    std::string text = platform.os + "/" + platform.architecture;
    if (!platform.variant.empty()) text += "/" + platform.variant;
    return text;
}

}  // namespace

Platform this_platform() {
    utsname names{};
    return from_machine(::uname(&names) == 0 ? names.machine : "");
}

Result<Descriptor> choose_platform(const Index& index, const Platform& wanted) {
    const auto better = [&](const Descriptor& a, const Descriptor& b) {
        return fitness(a, wanted) < fitness(b, wanted);
    };
    // The first one of those that fit best.
    const auto best = std::max_element(index.manifests.begin(), index.manifests.end(), better);
    if (best != index.manifests.end() && fitness(*best, wanted) > 0) return *best;
    std::string there;
    for (const auto& entry : index.manifests)
        there += (there.empty() ? "" : ", ") + (entry.platform ? text_of(*entry.platform) : std::string("unknown"));
    return not_found("the image has no variant for " + text_of(wanted) + "; it has " +
                     (there.empty() ? "none at all" : there));
}

}  // namespace millwright::oci
