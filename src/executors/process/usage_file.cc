#include "executors/process/usage_file.h"

#include <cstdio>

namespace millwright::executors {
namespace {

constexpr std::string_view kMagic = "millwright-usage 1\n";

}  // namespace

std::string encode_usage(const std::vector<PublishedUsage>& usage) {
    std::string text(kMagic);
    for (const PublishedUsage& host : usage)
        text += std::to_string(host.init) + " " + std::to_string(host.disk_bytes) + " " +
                std::to_string(host.disk_limit_bytes) + "\n";
    return text;
}

Result<std::vector<PublishedUsage>> decode_usage(std::string_view text) {
    if (!text.starts_with(kMagic)) return invalid_input("not a usage file of version 1");
    const std::string rest(text.substr(kMagic.size()));
    std::vector<PublishedUsage> usage;
    const char* at = rest.c_str();
    while (*at != '\0') {
        long long init = 0;
        unsigned long long bytes = 0, limit = 0;
        int used = 0;
        if (std::sscanf(at, "%lld %llu %llu\n%n", &init, &bytes, &limit, &used) != 3 || used == 0)
            return invalid_input("bad line in a usage file");
        usage.push_back({static_cast<pid_t>(init), bytes, limit});
        at += used;
    }
    return usage;
}

}  // namespace millwright::executors
