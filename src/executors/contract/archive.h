// Unpacking archives of users: model data and source code. Archives are foreign bytes.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millwright::executors {

struct ArchiveLimits {
    uint64_t max_bytes = uint64_t{64} << 30;  // unpacked, all files together
    uint64_t max_entries = 100'000;
    // Unpacked to packed size. Checked once more than `ratio_floor_bytes` are unpacked: small archives of
    // zeros are fine.
    uint64_t max_ratio = 500;
    uint64_t ratio_floor_bytes = uint64_t{256} << 20;
    std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
};

// Unpacks a tar.gz, or a plain tar, into `folder`, which exists and is empty. What it makes: folders (0755), files
// (0644, or 0755 when executable for the owner), hard links between files of the archive, and symbolic links that lead
// to something inside the folder. Anything else fails with InvalidInput and nothing outside `folder` is
// touched: absolute names, "..", NUL, names over 255 bytes, devices, sockets, FIFOs, links that lead out or
// nowhere, a file where a folder is, truncated or damaged archives, more than the limits allow
// (LimitExceeded). Owners, set-id bits, ACLs and extended attributes are dropped. Of a name that occurs twice
// the last one counts. What was unpacked before a failure stays: remove the folder.
Result<void> extract_archive(int archive, uint64_t size, const std::string& folder, const ArchiveLimits& limits);

// The content of one regular file of the archive, by its path ("./" before it does not matter). NotFound: there is
// none. InvalidInput: damaged, or longer than `max_bytes`.
Result<std::string> read_archive_member(int archive, std::string_view path, size_t max_bytes);

// The components of a relative path that leads nowhere else, "." dropped; empty for the root itself. InvalidInput:
// absolute, "..", NUL, too long or too deep.
Result<std::vector<std::string>> clean_archive_path(std::string_view name);

}  // namespace millwright::executors
