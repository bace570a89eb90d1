#include "resources/training_jobs/kept_runs.h"

#include <sys/stat.h>

#include <filesystem>
#include <system_error>

#include "base/files.h"
#include "base/log.h"

namespace millwright::resources {

uint64_t own_bytes(const std::string& folder) {
    namespace fs = std::filesystem;
    uint64_t bytes = 0;
    std::error_code failure;
    fs::recursive_directory_iterator at(folder, fs::directory_options::skip_permission_denied, failure);
    while (!failure && at != fs::recursive_directory_iterator()) {
        struct stat status {};
        constexpr uint64_t kBlock = 512;
        if (lstat(at->path().c_str(), &status) == 0 && (S_ISDIR(status.st_mode) || status.st_nlink == 1))
            bytes += static_cast<uint64_t>(status.st_blocks) * kBlock;
        at.increment(failure);
    }
    return bytes;
}

void limit_kept_runs(const TrainingRunContext& context) {
    const auto runs = context.store.kept();
    if (!runs) return log::warning("limiting the files of failed jobs", runs.error());
    size_t count = 0;
    uint64_t bytes = 0;
    for (const auto& run : *runs) {
        const auto folder = training_run_folder(context.settings, run.run_id);
        bytes += own_bytes(folder);
        if (++count <= context.settings.keep_failed && bytes <= context.settings.keep_failed_bytes) continue;
        // Forgotten first: a folder that nobody knows is removed at the next start.
        auto removed = context.store.forget_kept(run.id);
        if (removed) removed = remove_tree(folder);
        if (!removed) log::warning("removing the files of a failed job", removed.error());
    }
}

}  // namespace millwright::resources
