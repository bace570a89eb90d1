#include "programs/launcher/image_root.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "programs/launcher/channel.h"
#include "programs/launcher/merge_layers.h"
#include "programs/launcher/root.h"

// <sys/mount.h> and <linux/mount.h> define the same names.
extern "C" int mount(const char* source, const char* target, const char* type, unsigned long flags,
                     const void* data) noexcept;

namespace millwright::launcher {
namespace {

using executors::LaunchSpec;

constexpr size_t kMaxOptionBytes = 4000;  // one page

// The links and files of an image are somebody else's, so nothing is looked up in it before it is the root: what a
// path means then stays inside. Everything from the machine is opened before, as detached mounts.

Result<void> add(std::vector<PreparedMount>& mounts, std::string target, Shape shape, Result<Fd> tree) {
    if (!tree) return tree.error();
    mounts.push_back({std::move(target), shape, std::move(*tree)});
    return {};
}

Result<std::vector<PreparedMount>> prepare_kernel_views(uint64_t shared_memory_bytes) {
    constexpr uint64_t kPlain = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    std::vector<PreparedMount> mounts;
    TRY(add(mounts, "/proc", Shape::Folder, detached_new("proc", kPlain | MOUNT_ATTR_NOEXEC, {})));
    TRY(add(mounts, "/dev", Shape::Folder,
            detached_new("tmpfs", kPlain, {{"size", "64k"}, {"nr_inodes", "256"}, {"mode", "755"}})));
    for (const char* name : kDevices)
        TRY(add(mounts, std::string("/dev/") + name, Shape::File,
                detached_bind(std::string("/dev/") + name, Access::ReadOnly)));
    TRY(add(mounts, "/dev/pts", Shape::Folder,
            detached_new("devpts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, {{"ptmxmode", "0666"}, {"mode", "0620"}})));
    TRY(add(mounts, "/dev/shm", Shape::Folder,
            detached_new("tmpfs", kPlain, {{"mode", "1777"}, {"size", std::to_string(shared_memory_bytes)}})));
    TRY(add(mounts, "/sys", Shape::Folder,
            detached_new("tmpfs", kPlain, {{"size", "64k"}, {"nr_inodes", "64"}, {"mode", "755"}})));
    for (const char* name : kTopology)
        if (const std::string path = std::string("/") + name; access(path.c_str(), F_OK) == 0)
            TRY(add(mounts, path, Shape::Folder, detached_bind(path, Access::ReadOnly)));
    return mounts;
}

// Of /opt/ml only what the contract has: images put their own things beside it.
Result<std::vector<PreparedMount>> prepare_ml_folders(const std::string& ml) {
    std::vector<PreparedMount> mounts;
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(ml.c_str()), closedir);
    if (!folder) return error_from_errno("cannot read " + ml);
    while (const dirent* entry = readdir(folder.get())) {
        const std::string name = entry->d_name;
        struct stat status {};
        if (name == "." || name == ".." ||
            fstatat(dirfd(folder.get()), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (!S_ISDIR(status.st_mode)) continue;
        TRY(add(mounts, "/opt/ml/" + name, Shape::Folder,
                detached_bind_without_links(ml + "/" + name, Access::Writable)));
    }
    std::sort(mounts.begin(), mounts.end(), [](const auto& a, const auto& b) { return a.target < b.target; });
    return mounts;
}

// Fresh, so nothing in it is anybody's yet; whiteouts and copies are saved. A run that is set up again has them.
Result<void> fill_upper(const LaunchSpec& spec, int host, const std::string& upper) {
    TRY(make_directories(upper + "/etc"));
    return write_network_settings(spec, host, upper + "/etc");
}

Result<void> mount_overlay(const LaunchSpec& spec, int host, const std::string& own, const std::string& root) {
    const std::string upper = own + "/upper";
    const bool again = file_exists(upper);
    TRY(make_directories(upper));
    if (!again) TRY(fill_upper(spec, host, upper));
    // "volatile" leaves a mark that a later mount would not accept.
    const std::string work = own + "/work" + (again ? "-" + std::to_string(now().monotonic_ns) : "");
    TRY(make_directories(work));
    const auto by_descriptor = [](const Fd& fd) { return "/proc/self/fd/" + std::to_string(fd.get()); };
    std::vector<Fd> layers;
    std::string lower;
    for (auto layer = spec.image_layers.rbegin(); layer != spec.image_layers.rend(); ++layer) {
        layers.push_back(TRY(open_file(*layer, O_PATH | O_DIRECTORY)));
        lower += (lower.empty() ? "" : ":") + by_descriptor(layers.back());
    }
    const Fd upper_fd = TRY(open_file(upper, O_PATH | O_DIRECTORY)),
             work_fd = TRY(open_file(work, O_PATH | O_DIRECTORY));
    // Nothing outside of /opt/ml outlives the run, so nobody has to wait for the disk.
    const std::string options = "lowerdir=" + lower + ",upperdir=" + by_descriptor(upper_fd) +
                                ",workdir=" + by_descriptor(work_fd) + ",userxattr,volatile";
    if (options.size() > kMaxOptionBytes)
        return Error{ErrorKind::LimitExceeded, "the image has too many layers to be mounted", ""};
    return mount_new("overlay", root, MS_NOSUID | MS_NODEV, options.c_str());
}

Result<void> mount_copy(const LaunchSpec& spec, const std::string& own, const std::string& root) {
    const std::string copy = own + "/copy";
    if (!file_exists(copy)) {
        const std::string unfinished = own + "/copying";
        TRY(make_directories(unfinished));
        TRY(merge_layers(spec.image_layers, unfinished));
        if (rename(unfinished.c_str(), copy.c_str()) != 0) return error_from_errno("cannot rename " + unfinished);
    }
    return bind(copy, root, Access::Writable);
}

// Inside. Where the image has something else than a folder it is replaced: it could not work anyway.
Result<void> make_place(const std::string& path, mode_t mode) {
    struct stat status {};
    const bool there = lstat(path.c_str(), &status) == 0;
    if (there && S_ISDIR(status.st_mode)) return {};
    if (there && unlink(path.c_str()) != 0) return error_from_errno("cannot replace " + path + " of the image");
    if (mkdir(path.c_str(), mode) != 0 || chmod(path.c_str(), mode) != 0)
        return error_from_errno("cannot make " + path + " in the image");
    return {};
}

// Inside, where the root is a copy: files of the image may be links, which would be followed.
Result<void> write_settings_inside(const LaunchSpec& spec, int host) {
    TRY(make_place("/etc", 0755));
    for (const char* name : {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}) unlink(name);
    return write_network_settings(spec, host, "/etc");
}

Result<void> attach_kernel_views(const std::vector<PreparedMount>& kernel) {
    for (const char* path : {"/proc", "/dev", "/sys"}) TRY(make_place(path, 0755));
    TRY(attach_mounts(kernel));
    for (const auto& [link, target] : kDeviceLinks)
        if (symlink(target, (std::string("/dev/") + link).c_str()) != 0)
            return error_from_errno(std::string("cannot make the link /dev/") + link);
    return restrict_proc();
}

}  // namespace

Result<void> enter_image_root(const LaunchSpec& spec, int host) {
    const std::string folder = folder_of(spec, host);
    const std::string root = folder + "/root", own = folder + "/layers/image";
    if (mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) != 0)
        return error_from_errno("cannot make the mounts private");
    TRY(make_directories(root));
    const std::vector<PreparedMount> kernel = TRY(prepare_kernel_views(spec.limits_of(host).shared_memory_bytes));
    const std::vector<PreparedMount> ml = TRY(prepare_ml_folders(folder + "/ml"));
    const std::vector<PreparedMount> mounts = TRY(prepare_mounts(spec, spec.mounts, host, 0));
    if (spec.overlay)
        TRY(mount_overlay(spec, host, own, root));
    else
        TRY(mount_copy(spec, own, root));
    if (chdir(root.c_str()) != 0) return error_from_errno("cannot enter " + root);
    TRY(pivot());
    TRY(attach_kernel_views(kernel));
    if (!spec.overlay) TRY(write_settings_inside(spec, host));
    struct stat status {};
    if (lstat("/tmp", &status) != 0) TRY(make_place("/tmp", 01777));
    TRY(attach_mounts(ml));
    return attach_mounts(mounts);
}

Result<void> enter_work_folder_of_image(const LaunchSpec& spec) {
    const auto made = make_directories(spec.working_folder);
    if (!made) return Error{made.error().kind, "cannot make the working folder " + spec.working_folder, ""};
    if (chdir(spec.working_folder.c_str()) != 0) return error_from_errno("cannot enter " + spec.working_folder);
    return {};
}

}  // namespace millwright::launcher
