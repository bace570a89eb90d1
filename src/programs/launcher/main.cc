// millwright-launcher <folder>: runs what <folder>/launch describes; started by the server, outlives it.
// millwright-launcher --probe root|user <folder>: tries the recipe.
//
// Small and statically linked: it must reach main() in well under a millisecond.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "executors/process/launch_spec.h"
#include "programs/launcher/host.h"
#include "programs/launcher/supervisor.h"

int main(int argc, char** argv) {
    using namespace millwright;
    if (argc == 4 && std::strcmp(argv[1], "--probe") == 0)
        return launcher::probe(argv[3], std::strcmp(argv[2], "user") == 0);
    if (argc != 2) {
        std::fprintf(stderr, "usage: millwright-launcher <folder of a run>\n");
        return 2;
    }
    const std::string folder = argv[1];
    struct stat status {};
    Fd control;
    if (fstat(executors::kInheritedControl, &status) == 0 && S_ISSOCK(status.st_mode)) {
        control.reset(executors::kInheritedControl);
        fcntl(control.get(), F_SETFD, FD_CLOEXEC);
        fcntl(control.get(), F_SETFL, O_NONBLOCK);
    }
    close_range(executors::kInheritedControl + 1, ~0u, 0);
    if (chdir("/") != 0) return 1;
    launcher::remember_arguments(argc, argv);
    const Result<void> result = launcher::supervise(folder, std::move(control));
    if (result) return 0;
    std::fprintf(stderr, "%s (%s)\n", result.error().message.c_str(), result.error().detail.c_str());
    return 1;
}
