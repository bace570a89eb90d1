// millwright-launcher <folder>: runs what <folder>/launch describes; started by the server, outlives it.
// millwright-launcher --probe root|user <folder>: tries the recipe.
// millwright-launcher --enter <folder> <algo-N> [command…]: opens a shell in a run.
//
// Small and statically linked: it must reach main() in well under a millisecond.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "executors/process/launch_spec.h"
#include "programs/launcher/enter.h"
#include "programs/launcher/host.h"
#include "programs/launcher/supervisor.h"

namespace {

millwright::Fd inherited(int fd, mode_t type) {
    struct stat status {};
    if (fstat(fd, &status) != 0 || (status.st_mode & S_IFMT) != type) return {};
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return millwright::Fd(fd);
}

}  // namespace

int main(int argc, char** argv) {
    using namespace millwright;
    if (argc == 4 && std::strcmp(argv[1], "--probe") == 0)
        return launcher::probe(argv[3], std::strcmp(argv[2], "user") == 0);
    if (argc >= 4 && std::strcmp(argv[1], "--enter") == 0)
        return launcher::enter(argv[2], argv[3], std::vector<std::string>(argv + 4, argv + argc));
    if (argc != 2) {
        std::fprintf(stderr, "usage: millwright-launcher <folder of a run>\n");
        return 2;
    }
    const std::string folder = argv[1];
    Fd control = inherited(executors::kInheritedControl, S_IFSOCK);
    Fd lock = inherited(executors::kInheritedLock, S_IFREG);
    close_range(executors::kInheritedLock + 1, ~0u, 0);
    if (chdir("/") != 0) return 1;
    launcher::remember_arguments(argc, argv);
    const Result<void> result = launcher::supervise(folder, std::move(control), std::move(lock));
    if (result) return 0;
    std::fprintf(stderr, "%s (%s)\n", result.error().message.c_str(), result.error().detail.c_str());
    return 1;
}
