#include "programs/launcher/merge_layers.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <memory>

#include "base/files.h"
#include "programs/launcher/mounting.h"

namespace millwright::launcher {
namespace {

constexpr int kMaxDepth = 200;
constexpr const char* kOpaque = "user.overlay.opaque";

using Folder = std::unique_ptr<DIR, int (*)(DIR*)>;

// Layers were unpacked by the server and the target is new: no link is followed in either.
class Merge {
  public:
    Result<void> add(const std::string& layer, const std::string& target) {
        copies_.clear();  // hard links do not lead from one layer into another
        return add_folder(layer, target, 0);
    }

  private:
    Result<void> add_folder(const std::string& source, const std::string& target, int depth);
    Result<void> add_entry(const std::string& source, const std::string& target, int depth);
    Result<void> add_file(const std::string& source, const std::string& target, const struct stat& status);

    std::map<ino_t, std::string> copies_;
};

bool is_opaque(const std::string& folder) {
    char value = 0;
    return lgetxattr(folder.c_str(), kOpaque, &value, 1) == 1 && value == 'y';
}

Result<void> copy_attributes(const std::string& target, const struct stat& status) {
    if (geteuid() == 0 && lchown(target.c_str(), status.st_uid, status.st_gid) != 0 && errno != EINVAL)
        return error_from_errno("cannot set the owner of " + target);
    if (!S_ISLNK(status.st_mode) && chmod(target.c_str(), status.st_mode & 01777) != 0)
        return error_from_errno("cannot set the mode of " + target);
    const timespec times[2] = {status.st_atim, status.st_mtim};
    if (utimensat(AT_FDCWD, target.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
        return error_from_errno("cannot set the time of " + target);
    return {};
}

Result<void> Merge::add_folder(const std::string& source, const std::string& target, int depth) {
    if (depth > kMaxDepth) return Error{ErrorKind::LimitExceeded, "folders of the image lie too deep", ""};
    struct stat status {};
    if (lstat(source.c_str(), &status) != 0) return error_from_errno("cannot read the layer " + source);
    const Folder folder(opendir(source.c_str()), closedir);
    if (!folder) return error_from_errno("cannot read the layer " + source);
    while (const dirent* entry = readdir(folder.get())) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") TRY(add_entry(source + "/" + name, target + "/" + name, depth));
    }
    return copy_attributes(target, status);
}

Result<void> Merge::add_entry(const std::string& source, const std::string& target, int depth) {
    struct stat status {
    }, before{};
    if (lstat(source.c_str(), &status) != 0) return error_from_errno("cannot read the layer " + source);
    const bool whiteout = S_ISCHR(status.st_mode) && status.st_rdev == 0;
    const bool folder = S_ISDIR(status.st_mode);
    if (lstat(target.c_str(), &before) == 0) {
        const bool joins = folder && S_ISDIR(before.st_mode) && !is_opaque(source);
        if (!joins) TRY(remove_tree(target));
    }
    if (whiteout) return {};
    if (folder) {
        if (mkdir(target.c_str(), 0700) != 0 && errno != EEXIST) return error_from_errno("cannot make " + target);
        return add_folder(source, target, depth + 1);
    }
    return add_file(source, target, status);
}

Result<void> Merge::add_file(const std::string& source, const std::string& target, const struct stat& status) {
    if (S_ISREG(status.st_mode)) {
        if (status.st_nlink > 1) {
            const auto [first, is_new] = copies_.try_emplace(status.st_ino, target);
            if (!is_new && link(first->second.c_str(), target.c_str()) == 0) return {};
        }
        TRY(copy_file(source, target, 0600));
    } else if (S_ISLNK(status.st_mode)) {
        char link[PATH_MAX];
        const ssize_t size = readlink(source.c_str(), link, sizeof link);
        if (size < 0) return error_from_errno("cannot read the link " + source);
        if (symlink(std::string(link, static_cast<size_t>(size)).c_str(), target.c_str()) != 0)
            return error_from_errno("cannot make the link " + target);
    } else if (S_ISFIFO(status.st_mode)) {
        if (mkfifo(target.c_str(), 0600) != 0) return error_from_errno("cannot make " + target);
    } else {
        return {};
    }
    return copy_attributes(target, status);
}

}  // namespace

Result<void> merge_layers(const std::vector<std::string>& layers, const std::string& target) {
    Merge merge;
    for (const std::string& layer : layers) TRY(merge.add(layer, target));
    return {};
}

}  // namespace millwright::launcher
