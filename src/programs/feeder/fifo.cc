#include "programs/feeder/fifo.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace millwright::feeder {

Result<Fd> open_input_folder(const std::string& run_folder, const std::string& host) {
    Fd folder = TRY(open_file(run_folder, O_PATH | O_DIRECTORY));
    for (const std::string& part : {host, std::string("ml"), std::string("input"), std::string("data")}) {
        folder = Fd(openat(folder.get(), part.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!folder) return error_from_errno("cannot open the input folder of " + host);
    }
    return folder;
}

Result<Fifo> offer_fifo(int folder, const std::string& name, int inotify) {
    if (mkfifoat(folder, name.c_str(), 0644) != 0 && errno != EEXIST) return error_from_errno("cannot make " + name);
    // With O_PATH nothing happens to what is there, whatever it is.
    const Fd place(openat(folder, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat status {};
    if (!place || fstat(place.get(), &status) != 0) return error_from_errno("cannot open " + name);
    if (!S_ISFIFO(status.st_mode)) return Error{ErrorKind::Conflict, name + " is not a FIFO", ""};
    const auto path = "/proc/self/fd/" + std::to_string(place.get());
    Fifo fifo{name, Fd(), status.st_dev, status.st_ino, -1};
    // Before the write end exists, so that no reader comes and goes unseen.
    if (inotify >= 0) fifo.watch = inotify_add_watch(inotify, path.c_str(), IN_OPEN | IN_CLOSE_NOWRITE);
    // A FIFO can be opened for writing without waiting only while somebody has it open for reading: for a moment we do.
    const Fd both = TRY(open_file(path, O_RDWR | O_NONBLOCK));
    fifo.write_end = TRY(open_file(path, O_WRONLY | O_NONBLOCK));
    return fifo;
}

bool has_reader(const Fifo& fifo) {
    pollfd state{fifo.write_end.get(), POLLOUT, 0};
    return poll(&state, 1, 0) == 1 && (state.revents & POLLERR) == 0;
}

void remove_fifo(int folder, const Fifo& fifo) {
    struct stat status {};
    if (fstatat(folder, fifo.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return;
    if (status.st_ino == fifo.inode && status.st_dev == fifo.device) unlinkat(folder, fifo.name.c_str(), 0);
}

}  // namespace millwright::feeder
