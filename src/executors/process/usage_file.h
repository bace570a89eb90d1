// <folder>/usage: what the launcher has measured, for the server.
//
//   usage = "millwright-usage 1" LF *(init process id SP disk bytes SP disk limit LF), one line per host
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millwright::executors {

inline constexpr const char* kUsageFile = "usage";

struct PublishedUsage {
    pid_t init = -1;
    uint64_t disk_bytes = 0, disk_limit_bytes = 0;
};
std::string encode_usage(const std::vector<PublishedUsage>& usage);
Result<std::vector<PublishedUsage>> decode_usage(std::string_view text);

}  // namespace millwright::executors
