#include "programs/launcher/root.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <memory>

#include "programs/launcher/image_root.h"
#include "programs/launcher/network.h"

namespace millwright::launcher {
namespace {

using executors::LaunchMount;
using executors::LaunchSpec;

// Paths below are relative to the new root, which is the working directory until pivot_root.

// What a machine needs to run its own programs. Missing ones are skipped, links stay links (merged /usr).
constexpr const char* kSystemFolders[] = {"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu"};

// Of /etc only what programs look up and everybody may read: files are copied (and may be changed inside), folders are
// shown read-only. Keys, password hashes and service settings of the machine are not in the list.
constexpr const char* kSettings[] = {"passwd",
                                     "group",
                                     "nsswitch.conf",
                                     "ld.so.cache",
                                     "ld.so.conf",
                                     "ld.so.conf.d",
                                     "localtime",
                                     "timezone",
                                     "services",
                                     "protocols",
                                     "rpc",
                                     "networks",
                                     "host.conf",
                                     "gai.conf",
                                     "mime.types",
                                     "magic",
                                     "magic.mime",
                                     "shells",
                                     "profile",
                                     "bash.bashrc",
                                     "inputrc",
                                     "login.defs",
                                     "os-release",
                                     "debian_version",
                                     "redhat-release",
                                     "system-release",
                                     "locale.alias",
                                     "locale.conf",
                                     "ca-certificates.conf",
                                     "machine-id",
                                     "mtab",
                                     "terminfo",
                                     "alternatives",
                                     "ca-certificates",
                                     "pki/tls/certs",
                                     "pki/ca-trust",
                                     "ssl/certs",
                                     "ssl/openssl.cnf",
                                     "fonts",
                                     "python3",
                                     "python3.11",
                                     "python3.12",
                                     "python3.13",
                                     "perl",
                                     "R",
                                     "java-17-openjdk",
                                     "java",
                                     "OpenCL",
                                     "vulkan",
                                     "glvnd",
                                     "libibverbs.d",
                                     "openmpi",
                                     "ImageMagick-6",
                                     "matplotlibrc",
                                     "xdg"};

constexpr const char* kReadOnlyProc[] = {"sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi"};
constexpr const char* kHiddenProc[] = {"kcore",       "keys",        "timer_list",  "sched_debug",
                                       "slabinfo",    "kpagecount",  "kpageflags",  "latency_stats",
                                       "kpagecgroup", "vmallocinfo", "pagetypeinfo"};

Result<void> make_folder(const std::string& path, mode_t mode = 0755) {
    if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return error_from_errno("cannot make " + path);
    return {};
}

Result<void> make_link(const std::string& link, const std::string& target) {
    if (symlink(target.c_str(), link.c_str()) != 0 && errno != EEXIST)
        return error_from_errno("cannot make the link " + link);
    return {};
}

// Shows "/<name>" of the machine: links as links, the rest read-only. Nothing when it does not exist.
Result<void> show(const std::string& name) {
    const std::string source = "/" + name;
    struct stat status {};
    if (lstat(source.c_str(), &status) != 0) return {};
    if (S_ISLNK(status.st_mode)) return copy_tree(source, name);
    TRY(make_mount_point(name, S_ISDIR(status.st_mode) ? Shape::Folder : Shape::File));
    return bind(source, name, Access::ReadOnly);
}

// /opt is a folder of our own with the machine's entries in it, so that /opt/ml can exist.
Result<void> show_opt() {
    TRY(make_folder("opt"));
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/opt"), closedir);
    if (!folder) return {};
    while (const dirent* entry = readdir(folder.get())) {
        const std::string name = entry->d_name;
        if (name != "." && name != ".." && name != "ml") TRY(show("opt/" + name));
    }
    return {};
}

Result<void> show_setting(const std::string& name) {
    const std::string source = "/etc/" + name;
    const std::string target = "etc/" + name;
    struct stat status {};
    if (lstat(source.c_str(), &status) != 0) return {};
    if (const size_t slash = name.rfind('/'); slash != std::string::npos)
        TRY(make_mount_point("etc/" + name.substr(0, slash), Shape::Folder));
    if (S_ISLNK(status.st_mode)) return copy_tree(source, target);
    if ((status.st_mode & S_IROTH) == 0) return {};
    if (S_ISREG(status.st_mode)) return copy_file(source, target, status.st_mode & 0777);
    return show(target);
}

Result<void> make_settings(const LaunchSpec& spec, int host) {
    TRY(make_folder("etc"));
    for (const char* name : kSettings) TRY(show_setting(name));
    TRY(write_network_settings(spec, host, "etc"));
    return write_file("etc/environment", "");
}

Result<void> make_devices(uint64_t shared_memory_bytes) {
    TRY(make_folder("dev"));
    for (const char* name : kDevices) {
        const std::string target = std::string("dev/") + name;
        TRY(make_mount_point(target, Shape::File));
        // Devices may be written through a read-only mount; what it prevents is a chmod of the machine's own node.
        TRY(bind("/dev/" + std::string(name), target, Access::ReadOnly));
    }
    TRY(make_folder("dev/pts"));
    TRY(mount_new("devpts", "dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"));
    for (const auto& [link, target] : kDeviceLinks) TRY(make_link(std::string("dev/") + link, target));
    TRY(make_folder("dev/shm"));
    const std::string size = "mode=1777,size=" + std::to_string(shared_memory_bytes);
    return mount_new("tmpfs", "dev/shm", MS_NOSUID | MS_NODEV, size.c_str());
}

Result<void> make_kernel_views() {
    TRY(make_folder("proc"));
    TRY(mount_new("proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr));
    TRY(restrict_proc());
    for (const char* name : kTopology)
        if (access(("/" + std::string(name)).c_str(), F_OK) == 0) TRY(show(name));
    return {};
}

// /tmp and /root lie on the disk of the run: what a program puts there must not count as its memory.
Result<void> make_scratch(const std::string& folder) {
    TRY(make_folder(folder + "/scratch"));
    const std::pair<const char*, const char*> places[] = {{"tmp", "tmp"}, {"var-tmp", "var/tmp"}, {"root", "root"}};
    TRY(make_folder("var"));
    for (const auto& [name, target] : places) {
        const std::string source = folder + "/scratch/" + name;
        TRY(make_folder(source));
        if (chmod(source.c_str(), name == std::string("root") ? 0700 : 01777) != 0)
            return error_from_errno("cannot prepare " + source);
        TRY(make_folder(target));
        TRY(bind(source, target, Access::Writable));
    }
    for (const char* name : {"run", "run/lock", "home", "var/log", "var/lib", "var/cache"}) TRY(make_folder(name));
    return make_link("var/run", "/run");
}

Result<PreparedMount> prepare(const LaunchSpec& spec, const LaunchMount& mount, const std::string& layers) {
    struct stat status {};
    if (stat(mount.source.c_str(), &status) != 0) return error_from_errno("cannot mount " + mount.source);
    const Shape shape = S_ISDIR(status.st_mode) ? Shape::Folder : Shape::File;
    if (mount.mode != 'o') {
        const Access access = mount.mode == 'r' ? Access::ReadOnly : Access::Writable;
        Fd tree = mount.through_links ? TRY(detached_bind(mount.source, access))
                                      : TRY(detached_bind_without_links(mount.source, access));
        return PreparedMount{mount.target, shape, std::move(tree)};
    }
    if (spec.overlay && shape == Shape::Folder) {
        TRY(make_directories(layers + "/upper"));
        TRY(make_directories(layers + "/work"));
        return PreparedMount{
            mount.target, shape,
            TRY(detached_overlay(mount.source, layers + "/upper", layers + "/work", spec.user_namespace))};
    }
    TRY(make_directories(layers));
    TRY(copy_tree(mount.source, layers + "/copy"));
    return PreparedMount{mount.target, shape, TRY(detached_bind(layers + "/copy", Access::Writable))};
}

std::string with_host(std::string text, int host) {
    const std::string_view hole = "{host}";
    for (size_t at = text.find(hole); at != std::string::npos; at = text.find(hole, at))
        text.replace(at, hole.size(), executors::host_name(host));
    return text;
}

// Covered before the run's own mounts are attached, which may lie inside.
Result<void> cover(const std::vector<std::string>& hidden) {
    for (const std::string& path : hidden) {
        struct stat status {};
        if (lstat(path.c_str(), &status) != 0) continue;
        if (S_ISDIR(status.st_mode))
            TRY(mount_new("tmpfs", path, MS_NOSUID | MS_NODEV, "size=64k,mode=755"));
        else
            TRY(bind("/dev/null", path, Access::ReadOnly));
    }
    return {};
}

}  // namespace

std::string folder_of(const LaunchSpec& spec, int host) { return spec.folder + "/" + executors::host_name(host); }

Result<void> write_network_settings(const LaunchSpec& spec, int host, const std::string& folder) {
    std::string hosts = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";
    for (int other = 0; other < spec.hosts; ++other)
        hosts += host_address(other) + " " + executors::host_name(other) + "\n";
    TRY(write_file(folder + "/hosts", hosts));
    TRY(write_file(folder + "/hostname", executors::host_name(host) + "\n"));
    // There is no name server; what asks for one gets its answer at once.
    return write_file(folder + "/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
}

Result<void> restrict_proc() {
    for (const char* name : kReadOnlyProc) {
        const std::string path = std::string("proc/") + name;
        if (access(path.c_str(), F_OK) == 0) TRY(bind(path, path, Access::ReadOnly));
    }
    for (const char* name : kHiddenProc) {
        const std::string path = std::string("proc/") + name;
        if (access(path.c_str(), F_OK) == 0) TRY(bind("/dev/null", path, Access::ReadOnly));
    }
    return {};
}

Result<void> pivot() {
    if (syscall(SYS_pivot_root, ".", ".") != 0) return error_from_errno("cannot change the root");
    if (umount2(".", MNT_DETACH) != 0) return error_from_errno("cannot leave the root of the machine");
    if (chdir("/") != 0) return error_from_errno("cannot enter the new root");
    return {};
}

Result<std::vector<PreparedMount>> prepare_mounts(const LaunchSpec& spec, std::vector<LaunchMount> mounts, int host,
                                                  size_t first_layer) {
    executors::number_layers(mounts, first_layer);
    std::vector<PreparedMount> prepared;
    for (LaunchMount& mount : mounts) {
        if (!mount.is_on(host)) continue;
        mount.source = with_host(mount.source, host);
        const std::string layers = folder_of(spec, host) + "/layers/" + std::to_string(mount.layer);
        prepared.push_back(TRY(prepare(spec, mount, layers)));
    }
    return prepared;
}

Result<PreparedMount> prepare_ml(const LaunchSpec& spec, int host) {
    Fd tree = TRY(detached_bind(folder_of(spec, host) + "/ml", Access::Writable));
    return PreparedMount{"/opt/ml", Shape::Folder, std::move(tree)};
}

Result<void> attach_mounts(const std::vector<PreparedMount>& mounts) {
    for (const PreparedMount& mount : mounts) {
        TRY(make_mount_point(mount.target, mount.shape));
        TRY(attach(mount.tree, mount.target));
    }
    return {};
}

Result<void> enter_private_root(const LaunchSpec& spec, int host) {
    if (!spec.image_layers.empty()) return enter_image_root(spec, host);
    const std::string folder = folder_of(spec, host);
    const std::string root = folder + "/root";
    if (mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) != 0)
        return error_from_errno("cannot make the mounts private");
    TRY(make_folder(root));
    std::vector<PreparedMount> prepared;
    if (!spec.spare) prepared.push_back(TRY(prepare_ml(spec, host)));
    std::vector<PreparedMount> own = TRY(prepare_mounts(spec, spec.mounts, host, 0));
    std::move(own.begin(), own.end(), std::back_inserter(prepared));
    TRY(mount_new("tmpfs", root, MS_NOSUID | MS_NODEV, "size=256m,nr_inodes=65536,mode=755"));
    if (chdir(root.c_str()) != 0) return error_from_errno("cannot enter " + root);
    for (const char* name : kSystemFolders) TRY(show(name));
    TRY(show_opt());
    TRY(make_settings(spec, host));
    TRY(make_devices(spec.limits_of(host).shared_memory_bytes));
    TRY(make_kernel_views());
    TRY(make_scratch(folder));
    TRY(pivot());
    TRY(cover(spec.hidden));
    return attach_mounts(prepared);
}

}  // namespace millwright::launcher
