#define _GNU_SOURCE
// The known ways out of a container. As `train` it tries each, prints one line per attempt and waits for /opt/ml/stop;
// as `serve` it answers /invocations with the same lines.
//
//   closed  mount proc                              errno 1 Operation not permitted
//   open    connect 172.17.0.1:9770                 errno 0 Success
//   tried 120, open 1
//
// What the attempts aim at is in the environment: AT_PID (of the server), AT_FILES, AT_SOCKETS (paths of the machine,
// separated by ":"; a socket "@name" is abstract), AT_ADDRESSES ("ip:port ip:port"), AT_KEY and AT_KEY_ID (in the keyring
// of the machine's root). Built static, with a set-user-id copy at /gain.
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static FILE* out;
static struct {
    int tried, opened;
}* counts;  // shared with children

// `result` is negative, with errno set, for what did not work.
static void note(const char* what, const char* detail, long result) {
    const int failure = result < 0 ? errno : 0;
    char name[512];
    snprintf(name, sizeof name, "%s %s", what, detail);
    fprintf(out, "%-7s %-52s errno %d %s\n", result < 0 ? "closed" : "open", name, failure, strerror(failure));
    ++counts->tried;
    counts->opened += result >= 0;
    errno = 0;
}

static const char* given(const char* name) { return getenv(name) ? getenv(name) : ""; }

static long refused(int failure) {
    errno = failure;
    return -1;
}

static void mounts(void) {
    const char* kinds[] = {"proc", "sysfs", "cgroup", "cgroup2", "tmpfs", "debugfs", "securityfs", "tracefs", "bpf", "overlay",
                           "devtmpfs", "devpts", "mqueue", "ext4", "fuse", "9p", "virtiofs"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) note("mount", kinds[i], mount("none", "/tmp/m", kinds[i], 0, ""));
    note("mount of cgroup v1", "memory", mount("none", "/tmp/m", "cgroup", 0, "memory"));
    note("bind mount of", "/", mount("/", "/tmp/m", NULL, MS_BIND, NULL));
    note("remount of", "/proc/sys", mount("", "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL));
    note("remount of", "/sys", mount("", "/sys", NULL, MS_REMOUNT | MS_BIND, NULL));
    note("propagation of", "/", mount("", "/", NULL, MS_SHARED | MS_REC, NULL));
    const char* over[] = {"/proc/sys", "/proc/kcore", "/proc/keys", "/etc/hosts", "/sys/firmware"};
    for (size_t i = 0; i < sizeof over / sizeof *over; ++i) note("umount", over[i], umount2(over[i], MNT_DETACH));
    note("fsopen", "proc", syscall(SYS_fsopen, "proc", 0));
    note("open_tree", "/", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
    note("move_mount", "/tmp", syscall(SYS_move_mount, AT_FDCWD, "/tmp", AT_FDCWD, "/opt", 0));
    note("pivot_root", ".", syscall(SYS_pivot_root, ".", "."));
    char handle[128] = {8};
    note("open_by_handle_at", "/", syscall(SYS_open_by_handle_at, AT_FDCWD, handle, O_RDONLY));
}

// A process of the machine, which must not have a name here.
static void processes(pid_t other) {
    char name[64], byte;
    snprintf(name, sizeof name, "%d", (int)other);
    note("ptrace attach to", name, ptrace(PTRACE_ATTACH, other, 0, 0));
    note("ptrace seize", name, ptrace(PTRACE_SEIZE, other, 0, 0));
    struct iovec here = {&byte, 1}, there = {&byte, 1};
    note("process_vm_readv", name, process_vm_readv(other, &here, 1, &there, 1, 0));
    note("process_vm_writev", name, process_vm_writev(other, &here, 1, &there, 1, 0));
    note("pidfd_open", name, syscall(SYS_pidfd_open, other, 0));
    note("kill", name, kill(other, 0));
    snprintf(name, sizeof name, "/proc/%d/root", (int)other);
    note("open", name, open(name, O_RDONLY));
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(0, &cpus);
    note("sched_setaffinity of another", "", sched_setaffinity(other, sizeof cpus, &cpus));
    struct sched_param urgent = {.sched_priority = 1};
    note("real time", "", sched_setscheduler(0, SCHED_FIFO, &urgent));
    note("priority", "-10", setpriority(PRIO_PROCESS, 0, -10));
}

static void raw_sockets(void) {
    const struct {
        const char* name;
        int family, type, protocol;
    } kinds[] = {{"raw ICMP", AF_INET, SOCK_RAW, 1},   {"raw any", AF_INET, SOCK_RAW, 255},     {"raw TCP", AF_INET, SOCK_RAW, 6},
                 {"raw ICMPv6", AF_INET6, SOCK_RAW, 58}, {"packet raw", AF_PACKET, SOCK_RAW, 768}, {"packet", AF_PACKET, SOCK_DGRAM, 768}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i)
        note("socket", kinds[i].name, socket(kinds[i].family, kinds[i].type, kinds[i].protocol));
    const int any = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq change = {.ifr_flags = IFF_UP};
    strcpy(change.ifr_name, "lo");
    note("change the interface", "lo", ioctl(any, SIOCSIFFLAGS, &change));
    struct rtentry route = {.rt_flags = RTF_UP, .rt_dev = (char*)"eth0"};
    route.rt_dst.sa_family = route.rt_genmask.sa_family = route.rt_gateway.sa_family = AF_INET;
    note("add a route", "", ioctl(any, SIOCADDRT, &route));
    note("delete a route", "", ioctl(any, SIOCDELRT, &route));
    close(any);
    const int hypervisor = socket(AF_VSOCK, SOCK_STREAM, 0);
    struct timeval soon = {.tv_usec = 200000};
    setsockopt(hypervisor, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &soon, sizeof soon);
    struct sockaddr_vm host = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = 22};
    note("connect to the hypervisor", "", hypervisor < 0 ? -1 : connect(hypervisor, (struct sockaddr*)&host, sizeof host));
}

// A file that can be read, a folder that is not empty.
static long read_path(const char* path) {
    struct stat status;
    char bytes[64];
    if (stat(path, &status) != 0) return -1;
    if (S_ISDIR(status.st_mode)) {
        DIR* folder = opendir(path);
        if (!folder) return -1;
        int entries = 0;
        while (readdir(folder)) ++entries;
        closedir(folder);
        return entries > 2 ? entries : refused(ENODATA);
    }
    const int descriptor = open(path, O_RDONLY | O_NONBLOCK);
    if (descriptor < 0) return -1;
    const ssize_t got = read(descriptor, bytes, sizeof bytes);
    const int failure = got < 0 ? errno : ENODATA;
    close(descriptor);
    return got > 0 ? got : refused(failure);
}

static long write_path(const char* path, const char* text) {
    const int descriptor = open(path, O_WRONLY);
    if (descriptor < 0) return -1;
    const ssize_t put = write(descriptor, text, strlen(text));
    const int failure = errno;
    close(descriptor);
    return put > 0 ? put : refused(failure);
}

static void paths(const char* files) {
    const char* known[] = {"/var/lib/docker", "/var/lib/containers", "/run/containerd", "/boot/vmlinuz", "/lib/modules", "/host",
                           "/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/latency_stats",
                           "/proc/kpagecount", "/proc/acpi", "/proc/scsi", "/sys/firmware", "/sys/kernel/debug", "/sys/kernel/tracing",
                           "/dev/mem", "/dev/kmem", "/dev/port", "/dev/kmsg", "/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/kvm",
                           "/dev/fuse", "/dev/net/tun", "/dev/loop-control", "/dev/loop0", "/dev/mapper/control", "/dev/vsock"};
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) note("read", known[i], read_path(known[i]));
    char all[8192], through[4096];
    snprintf(all, sizeof all, "%s", files);
    for (char* path = strtok(all, ":"); path; path = strtok(NULL, ":")) {
        note("read", path, read_path(path));
        snprintf(through, sizeof through, "/proc/1/root%s", path);
        note("read", through, read_path(through));
        unlink("/opt/ml/output/link");
        if (symlink(path, "/opt/ml/output/link") == 0) note("read through a link", path, read_path("/opt/ml/output/link"));
    }
    unlink("/opt/ml/output/link");
    struct stat root, top;
    int at = open("/", O_RDONLY);
    for (int i = 0; i < 64; ++i) at = openat(at, "..", O_RDONLY);
    stat("/", &root);
    fstat(at, &top);
    note("climb above", "/", root.st_ino == top.st_ino && root.st_dev == top.st_dev ? refused(EPERM) : 0);
}

static void devices(void) {
    const struct {
        const char* name;
        mode_t kind;
        unsigned major, minor;
    } nodes[] = {{"/tmp/sda", S_IFBLK, 8, 0}, {"/tmp/vda", S_IFBLK, 254, 0}, {"/tmp/mem", S_IFCHR, 1, 1}, {"/tmp/kmsg", S_IFCHR, 1, 11},
                 {"/tmp/fuse", S_IFCHR, 10, 229}, {"/tmp/kvm", S_IFCHR, 10, 232}, {"/dev/own", S_IFBLK, 8, 0}};
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; ++i)
        note("mknod", nodes[i].name, mknod(nodes[i].name, nodes[i].kind | 0666, makedev(nodes[i].major, nodes[i].minor)));
}

static void kernel_files(void) {
    const struct {
        const char *path, *text;
    } files[] = {{"/proc/sysrq-trigger", "h"}, {"/proc/sys/kernel/core_pattern", "|/tmp/x"}, {"/proc/sys/kernel/modprobe", "/tmp/x"},
                 {"/proc/sys/kernel/hotplug", "/tmp/x"}, {"/sys/kernel/uevent_helper", "/tmp/x"}, {"/proc/sys/kernel/hostname", "x"},
                 {"/proc/sys/fs/binfmt_misc/register", ":x:M::x::/x:"}, {"/proc/sys/vm/overcommit_memory", "1"},
                 {"/proc/sys/net/ipv4/ip_forward", "1"}, {"/proc/sys/kernel/yama/ptrace_scope", "0"},
                 {"/proc/sys/kernel/randomize_va_space", "0"}, {"/proc/irq/default_smp_affinity", "1"}, {"/proc/1/oom_score_adj", "-1000"},
                 {"/proc/acpi/call", "x"}, {"/proc/self/uid_map", "0 0 1"}, {"/proc/mtrr", "disable=0"},
                 {"/sys/kernel/mm/transparent_hugepage/enabled", "never"}, {"/sys/class/net/lo/mtu", "1000"},
                 {"/sys/fs/cgroup/release_agent", "/tmp/x"}, {"/sys/fs/cgroup/memory/release_agent", "/tmp/x"},
                 {"/sys/fs/cgroup/rdma/release_agent", "/tmp/x"}, {"/sys/fs/cgroup/memory/notify_on_release", "1"},
                 {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "-1"}, {"/sys/fs/cgroup/memory.max", "max"},
                 {"/sys/fs/cgroup/pids/pids.max", "max"}, {"/sys/fs/cgroup/pids.max", "max"}, {"/sys/fs/cgroup/cgroup.procs", "1"},
                 {"/sys/fs/cgroup/devices/devices.allow", "a"}, {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i) note("write", files[i].path, write_path(files[i].path, files[i].text));
    const char* groups[] = {"/sys/fs/cgroup/x", "/sys/fs/cgroup/memory/x", "/sys/fs/cgroup/unified/x", "/sys/fs/cgroup/systemd/x"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; ++i) {
        char inside[128];
        snprintf(inside, sizeof inside, "%s/cgroup.procs", groups[i]);
        note("make a control group", groups[i], mkdir(groups[i], 0755) < 0 ? -1 : access(inside, F_OK));
    }
}

static void kernel_calls(void) {
    char bytes[256] = {0};
    note("init_module", "", syscall(SYS_init_module, bytes, sizeof bytes, ""));
    note("finit_module", "", syscall(SYS_finit_module, 0, "", 0));
    note("delete_module", "", syscall(SYS_delete_module, "loop", O_NONBLOCK));
    note("kexec_load", "", syscall(SYS_kexec_load, 0, 0, 0, 0));
    note("bpf", "", syscall(SYS_bpf, 0, bytes, 128));
    note("perf_event_open", "", syscall(SYS_perf_event_open, bytes, 0, -1, -1, 0));
    note("userfaultfd", "", syscall(SYS_userfaultfd, 0));
    // Keys of the machine's root have the same owner as this container's; its own keyring it may have.
    const char* key = given("AT_KEY");
    const int keyrings[] = {-3, -4, -5};  // of the session, the user, the user's session
    const char* names[] = {"session", "user", "user session"};
    for (size_t i = 0; i < sizeof keyrings / sizeof *keyrings; ++i)
        note("find a key of the machine in keyring", names[i], syscall(SYS_keyctl, 10, keyrings[i], "user", key, 0));
    note("request a key of the machine", "", syscall(SYS_request_key, "user", key, "", -3));
    note("read a key of the machine", given("AT_KEY_ID"), syscall(SYS_keyctl, 11, atoi(given("AT_KEY_ID")), bytes, sizeof bytes));
    note("link a keyring of the machine", "", syscall(SYS_keyctl, 8, -4, -3));
    note("add a key to the keyring of root", "", syscall(SYS_add_key, "user", "x", "y", 1, -4));
    note("syslog", "read all", syscall(SYS_syslog, 3, bytes, sizeof bytes));
    note("iopl", "3", syscall(SYS_iopl, 3));
    note("ioperm", "0x80", syscall(SYS_ioperm, 0x80, 1, 1));
    struct timespec never = {0, 0};
    note("clock_settime", "", syscall(SYS_clock_settime, 0, &never));
    note("sethostname", "other", syscall(SYS_sethostname, "other", 5));
    note("reboot", "", syscall(SYS_reboot, 0xfee1dead, 672274793, 0, 0));
    note("swapon", "", syscall(SYS_swapon, "/tmp/swap", 0));
    note("quotactl", "", syscall(SYS_quotactl, 0, "", 0, 0));
    note("acct", "", syscall(SYS_acct, "/tmp/acct"));
    note("fanotify_init", "", syscall(SYS_fanotify_init, 0, 0));
    note("lookup_dcookie", "", syscall(SYS_lookup_dcookie, 0, bytes, sizeof bytes));
}

static unsigned long long field_of_status(const char* name, int base) {
    char line[256];
    unsigned long long value = 0;
    FILE* file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0) value = strtoull(line + strlen(name), NULL, base);
    if (file) fclose(file);
    return value;
}

static void privileges(void) {
    // CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID NET_BIND_SERVICE SYS_CHROOT
    const unsigned long long most = 0x404fb;
    note("more capabilities", "effective", field_of_status("CapEff:", 16) & ~most ? 0 : refused(EPERM));
    note("more capabilities", "bounding", field_of_status("CapBnd:", 16) & ~most ? 0 : refused(EPERM));
    note("new privileges", "", field_of_status("NoNewPrivs:", 10) == 1 ? refused(EPERM) : 0);
    note("no filter of system calls", "", field_of_status("Seccomp:", 10) == 2 ? refused(EPERM) : 0);
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct all[2] = {{~0u, ~0u, ~0u}, {~0u, ~0u, ~0u}};
    note("capset", "all", syscall(SYS_capset, &head, all));
    note("ambient capability", "SYS_ADMIN", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0));
    note("take back no_new_privs", "", prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    note("drop the filter", "", prctl(PR_SET_SECCOMP, 0, 0, 0, 0));
    const unsigned capability[] = {0x2000001, ~0u, 0, 0, 0};
    note("capabilities of a file", "", setxattr("/tmp/m", "security.capability", capability, sizeof capability, 0));
    note("trusted attributes", "", setxattr("/tmp/m", "trusted.overlay.opaque", "y", 1, 0));
    const pid_t child = fork();
    if (child == 0) {
        if (setgid(1000) != 0 || setuid(1000) != 0) _exit(2);
        execl("/gain", "gain", "gain", NULL);
        _exit(3);
    }
    int status = -1;
    waitpid(child, &status, 0);
    note("set-user-id program", "", WIFEXITED(status) && WEXITSTATUS(status) == 0 ? refused(EPERM) : 0);
}

// A refusal comes from whom it was meant to reach, unless that is this container itself.
static long reach(const char* address, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1) return refused(EINVAL);
    const int connection = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int failure = connect(connection, (struct sockaddr*)&to, sizeof to) == 0 ? 0 : errno;
    struct pollfd waiting = {connection, POLLOUT, 0};
    if (failure == EINPROGRESS) {
        socklen_t size = sizeof failure;
        failure = ETIMEDOUT;
        if (poll(&waiting, 1, 300) > 0) getsockopt(connection, SOL_SOCKET, SO_ERROR, &failure, &size);
    }
    close(connection);
    const int own = strncmp(address, "127.", 4) == 0 || strcmp(address, "169.254.170.2") == 0;
    return failure == 0 || (failure == ECONNREFUSED && !own) ? 0 : refused(failure);
}

static void network(const char* addresses, const char* sockets) {
    char all[8192], *rest;
    snprintf(all, sizeof all, "169.254.169.254:80 169.254.170.2:22 192.0.2.1:80 8.8.8.8:53 %s", addresses);
    for (char* one = strtok_r(all, " ", &rest); one; one = strtok_r(NULL, " ", &rest)) {
        char address[64];
        snprintf(address, sizeof address, "%s", one);
        char* colon = strchr(address, ':');
        if (!colon) continue;
        *colon = '\0';
        note("connect", one, reach(address, atoi(colon + 1)));
    }
    const int six = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 metadata = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
    inet_pton(AF_INET6, "fd00:ec2::254", &metadata.sin6_addr);
    note("connect", "[fd00:ec2::254]:80", six < 0 ? -1 : connect(six, (struct sockaddr*)&metadata, sizeof metadata));
    snprintf(all, sizeof all, "/var/run/docker.sock:/run/docker.sock:/run/podman/podman.sock:/run/containerd/containerd.sock:"
             "/run/crio/crio.sock:/run/dbus/system_bus_socket:/run/systemd/private:/gate/run/served:%s", sockets);
    for (char* path = strtok_r(all, ":", &rest); path; path = strtok_r(NULL, ":", &rest)) {
        const int connection = socket(AF_UNIX, SOCK_STREAM, 0);
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
        socklen_t size = sizeof to;
        if (*path == '@') size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)), to.sun_path[0] = '\0';
        note("connect", path, connect(connection, (struct sockaddr*)&to, size));
        close(connection);
    }
}

// In a namespace of users, where the engine's filter permits one, its maker has all capabilities over what belongs to it.
static void in_own_namespaces(void) {
    if (unshare(CLONE_NEWUSER) != 0) return note("unshare", "user", -1);
    fprintf(out, "granted a namespace of users; from within it:\n");
    note("mknod within", "/tmp/within", mknod("/tmp/within", S_IFBLK | 0666, makedev(8, 0)));
    note("init_module within", "", syscall(SYS_init_module, "", 0, ""));
    note("sethostname within", "", syscall(SYS_sethostname, "other", 5));
    note("raw socket within", "", socket(AF_INET, SOCK_RAW, 1));
    note("setns within", "/proc/1/ns/mnt", setns(open("/proc/1/ns/mnt", O_RDONLY), 0));
    note("mount of cgroup v1 within", "memory", mount("none", "/tmp/m", "cgroup", 0, "memory"));
    if (unshare(CLONE_NEWNS | 0x02000000) != 0) return;
    const char* groups[] = {"memory", "rdma", "pids", "none,name=x"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; ++i) {
        const int mounted = mount("none", "/tmp/m", "cgroup", 0, groups[i]);
        note("write release_agent within", groups[i], mounted < 0 ? -1 : write_path("/tmp/m/release_agent", "/tmp/x"));
        if (mounted == 0) umount2("/tmp/m", MNT_DETACH);
    }
    const char* devices[] = {"/dev/vda", "/dev/sda", "/tmp/vda"};
    for (size_t i = 0; i < sizeof devices / sizeof *devices; ++i)
        note("mount within", devices[i], mount(devices[i], "/tmp/m", "ext4", MS_RDONLY, NULL));
    const char* masked[] = {"/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"};
    for (size_t i = 0; i < sizeof masked / sizeof *masked; ++i) note("unmask within", masked[i], umount2(masked[i], MNT_DETACH));
    note("remount within", "/proc/sys", mount("", "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL));
    note("write within", "/proc/sysrq-trigger", write_path("/proc/sysrq-trigger", "h"));
    note("write within", "/proc/sys/kernel/core_pattern", write_path("/proc/sys/kernel/core_pattern", "|/tmp/x"));
    note("new /proc within", "", mount("none", "/tmp/m", "proc", 0, NULL));
    note("new /sys within", "", mount("none", "/tmp/m", "sysfs", 0, NULL));
}

static void namespaces(void) {
    const char* kinds[] = {"mnt", "net", "user", "pid", "ipc", "uts", "cgroup"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
        char path[64];
        snprintf(path, sizeof path, "/proc/1/ns/%s", kinds[i]);
        const int descriptor = open(path, O_RDONLY);
        note("setns", path, descriptor < 0 ? -1 : setns(descriptor, 0));
        if (descriptor >= 0) close(descriptor);
    }
    const int flags[] = {CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWIPC, CLONE_NEWUTS};
    const char* names[] = {"mnt", "net", "pid", "ipc", "uts"};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; ++i) note("unshare", names[i], unshare(flags[i]));
    fflush(out);
    const pid_t child = fork();
    if (child == 0) {
        in_own_namespaces();
        fflush(out);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static void attempts(void) {
    counts->tried = counts->opened = 0;
    mkdir("/tmp", 0777);
    mkdir("/tmp/m", 0777);
    mounts();
    processes((pid_t)atoi(given("AT_PID")));
    raw_sockets();
    network(given("AT_ADDRESSES"), given("AT_SOCKETS"));
    paths(given("AT_FILES"));
    devices();
    kernel_files();
    kernel_calls();
    privileges();
    namespaces();
    fprintf(out, "tried %d, open %d\n", counts->tried, counts->opened);
    fflush(out);
}

static int serve(void) {
    const int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8080)};
    if (bind(listener, (struct sockaddr*)&address, sizeof address) != 0 || listen(listener, 16) != 0) return 1;
    for (;;) {
        char request[65536];
        const int connection = accept(listener, NULL, NULL);
        const ssize_t got = read(connection, request, sizeof request - 1);
        request[got > 0 ? got : 0] = '\0';
        out = fdopen(connection, "w");
        fprintf(out, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n");
        if (strncmp(request, "GET /ping", 9) != 0) attempts();
        fflush(out);
        shutdown(connection, SHUT_WR);
        while (read(connection, request, sizeof request) > 0) continue;
        fclose(out);
    }
}

int main(int argc, char** argv) {
    const char* word = argc > 1 ? argv[argc - 1] : "";
    if (strcmp(word, "gain") == 0) return geteuid() != 1000 || getegid() != 1000;
    signal(SIGPIPE, SIG_IGN);
    counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (strcmp(word, "serve") == 0) return serve();
    out = stdout;
    attempts();
    while (access("/opt/ml/model/stop", F_OK) != 0) usleep(50000);
    return 0;
}
