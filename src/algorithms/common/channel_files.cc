#include "algorithms/common/channel_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/files.h"

namespace millwright::algorithms {
namespace {

constexpr size_t kSpliceBytes = size_t{1} << 20;

// Whether anything came.
Result<bool> put_down(const std::string& pipe, const std::string& path) {
    const Fd from = TRY(open_file(pipe, O_RDONLY));
    const Fd to = TRY(open_file(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
    std::vector<char> buffer;
    for (bool any = false;; any = true) {
        ssize_t got = -1;
        if (buffer.empty()) {
            got = ::splice(from.get(), nullptr, to.get(), nullptr, kSpliceBytes, SPLICE_F_MOVE);
            if (got < 0 && errno == EINVAL) buffer.resize(kSpliceBytes);  // a file system that cannot
        }
        if (!buffer.empty()) {
            got = ::read(from.get(), buffer.data(), buffer.size());
            if (got > 0) TRY(write_all(to.get(), {buffer.data(), static_cast<size_t>(got)}));
        }
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_from_errno("cannot put down the data of " + pipe);
        if (got == 0) return any;
    }
}

}  // namespace

Result<std::vector<std::string>> channel_files(const Channel& channel, const FolderRules& rules,
                                               const std::string& scratch_folder) {
    if (channel.mode != "Pipe") return list_channel_files(channel.path, rules);
    const auto pipe = channel.path + "_0";
    auto path = scratch_folder + "/" + pipe.substr(pipe.rfind('/') + 1);
    const bool any = TRY(put_down(pipe, path));
    return any ? std::vector<std::string>{std::move(path)} : std::vector<std::string>{};
}

}  // namespace millwright::algorithms
