#include "programs/launcher/mounting.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

// <sys/mount.h> and <linux/mount.h> define the same names.
extern "C" int mount(const char* source, const char* target, const char* type, unsigned long flags,
                     const void* data) noexcept;

namespace millwright::launcher {

namespace {

Result<Fd> clone_tree(const Fd& place, const std::string& source, Access access) {
    struct stat status {};
    if (fstat(place.get(), &status) != 0) return error_from_errno("cannot mount " + source);
    Fd tree(static_cast<int>(
        syscall(SYS_open_tree, place.get(), "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH)));
    if (!tree) return error_from_errno("cannot copy the mount of " + source);
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_NOSUID;
    if (!S_ISCHR(status.st_mode)) attributes.attr_set |= MOUNT_ATTR_NODEV;
    if (access == Access::ReadOnly) attributes.attr_set |= MOUNT_ATTR_RDONLY;
    if (syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0)
        return error_from_errno("cannot restrict the mount of " + source);
    return tree;
}

}  // namespace

Result<Fd> detached_bind(const std::string& source, Access access) {
    const Fd place(open(source.c_str(), O_PATH | O_CLOEXEC));
    if (!place) return error_from_errno("cannot mount " + source);
    return clone_tree(place, source, access);
}

Result<Fd> detached_bind_without_links(const std::string& source, Access access) {
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_NO_SYMLINKS;
    const Fd place(static_cast<int>(syscall(SYS_openat2, AT_FDCWD, source.c_str(), &how, sizeof how)));
    if (!place) return error_from_errno("cannot mount " + source);
    return clone_tree(place, source, access);
}

Result<void> attach(const Fd& tree, const std::string& target) {
    if (syscall(SYS_move_mount, tree.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
        return error_from_errno("cannot mount over " + target);
    return {};
}

Result<void> bind(const std::string& source, const std::string& target, Access access) {
    const Fd tree = TRY(detached_bind(source, access));
    return attach(tree, target);
}

Result<Fd> detached_overlay(const std::string& lower, const std::string& upper, const std::string& work,
                            bool user_namespace) {
    // Options are limited to 256 bytes and treat ':' and ',' specially; descriptors have neither trouble.
    const Fd folders[] = {TRY(open_file(lower, O_PATH | O_DIRECTORY)), TRY(open_file(upper, O_PATH | O_DIRECTORY)),
                          TRY(open_file(work, O_PATH | O_DIRECTORY))};
    const Fd context(static_cast<int>(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC)));
    if (!context) return error_from_errno("overlayfs is not available");
    const char* names[] = {"lowerdir", "upperdir", "workdir"};
    const auto set = [&](unsigned command, const char* key, const char* value) {
        return syscall(SYS_fsconfig, context.get(), command, key, value, 0) == 0;
    };
    for (size_t i = 0; i < 3; ++i)
        if (!set(FSCONFIG_SET_STRING, names[i], ("/proc/self/fd/" + std::to_string(folders[i].get())).c_str()))
            return error_from_errno("overlayfs refuses " + std::string(names[i]));
    if (user_namespace && !set(FSCONFIG_SET_FLAG, "userxattr", nullptr))
        return error_from_errno("overlayfs refuses userxattr");
    if (!set(FSCONFIG_CMD_CREATE, nullptr, nullptr)) return error_from_errno("cannot make an overlay over " + lower);
    Fd tree(
        static_cast<int>(syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)));
    if (!tree) return error_from_errno("cannot mount an overlay over " + lower);
    return tree;
}

Result<Fd> detached_new(const char* type, uint64_t attributes,
                        const std::vector<std::pair<const char*, std::string>>& options) {
    const std::string what = std::string("cannot make a new ") + type;
    const Fd context(static_cast<int>(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC)));
    if (!context) return error_from_errno(what);
    for (const auto& [name, value] : options)
        if (syscall(SYS_fsconfig, context.get(), FSCONFIG_SET_STRING, name, value.c_str(), 0) != 0)
            return error_from_errno(what);
    if (syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
        return error_from_errno(what);
    Fd tree(static_cast<int>(syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, attributes)));
    if (!tree) return error_from_errno(what);
    return tree;
}

Result<void> mount_new(const char* type, const std::string& target, unsigned long flags, const char* options) {
    if (mount(type, target.c_str(), type, flags, options) != 0)
        return error_from_errno(std::string("cannot mount ") + type + " on /" + target);
    return {};
}

Result<void> make_mount_point(const std::string& target, Shape shape) {
    struct stat status {};
    if (stat(target.c_str(), &status) == 0) return {};
    if (shape == Shape::Folder) {
        const auto made = make_directories(target);
        if (!made) return Error{made.error().kind, "cannot make the mount point " + target, made.error().detail};
        return {};
    }
    const size_t slash = target.rfind('/');
    if (slash != std::string::npos && slash > 0) TRY(make_mount_point(target.substr(0, slash), Shape::Folder));
    TRY(open_file(target, O_WRONLY | O_CREAT, 0644));
    return {};
}

Result<void> copy_file(const std::string& source, const std::string& target, mode_t mode) {
    const Fd from = TRY(open_file(source, O_RDONLY));
    const Fd to = TRY(open_file(target, O_WRONLY | O_CREAT | O_TRUNC, mode));
    char buffer[1 << 16];
    for (bool small = true;; small = false) {
        // Most files are settings of a few bytes; the kernel copies the rest of large ones, where it can.
        const ssize_t copied = small ? 0 : copy_file_range(from.get(), nullptr, to.get(), nullptr, size_t{1} << 30, 0);
        if (copied > 0) continue;
        const ssize_t got = read(from.get(), buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_from_errno("cannot read " + source);
        if (got == 0) return {};
        TRY(write_all(to.get(), std::string_view(buffer, static_cast<size_t>(got))));
    }
}

Result<void> copy_tree(const std::string& source, const std::string& target) {
    struct stat status {};
    if (lstat(source.c_str(), &status) != 0) return error_from_errno("cannot copy " + source);
    if (S_ISREG(status.st_mode)) return copy_file(source, target, status.st_mode & 0777);
    if (S_ISLNK(status.st_mode)) {
        char link[PATH_MAX];
        const ssize_t size = readlink(source.c_str(), link, sizeof link);
        if (size < 0) return error_from_errno("cannot read the link " + source);
        if (symlink(std::string(link, static_cast<size_t>(size)).c_str(), target.c_str()) != 0)
            return error_from_errno("cannot make the link " + target);
        return {};
    }
    if (!S_ISDIR(status.st_mode)) return {};  // sockets, FIFOs and devices have no content to protect
    if (mkdir(target.c_str(), 0700) != 0 && errno != EEXIST) return error_from_errno("cannot make " + target);
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(source.c_str()), closedir);
    if (!folder) return error_from_errno("cannot read " + source);
    while (const dirent* entry = readdir(folder.get())) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") TRY(copy_tree(source + "/" + name, target + "/" + name));
    }
    if (chmod(target.c_str(), status.st_mode & 0777) != 0) return error_from_errno("cannot set the mode of " + target);
    return {};
}

}  // namespace millwright::launcher
