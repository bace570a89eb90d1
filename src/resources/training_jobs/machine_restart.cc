#include "resources/training_jobs/machine_restart.h"

#include "base/files.h"

namespace millwright::resources {
namespace {

constexpr const char* kBoot = "/boot";  // in the folder of the run; never synced: it goes where its neighbours go
constexpr const char* kBootId = "/proc/sys/kernel/random/boot_id";

}  // namespace

Result<void> note_boot(const std::string& folder) {
    const std::string id = TRY(read_file(kBootId));
    return write_file(folder + kBoot, id, 0600);
}

bool machine_restarted(const std::string& folder) {
    const auto then = read_file(folder + kBoot, 256);
    const auto now = read_file(kBootId, 256);
    return !then || !now || *then != *now;
}

}  // namespace millwright::resources
