#include "programs/launcher/sandbox.h"

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <functional>
#include <string_view>
#include <vector>

namespace millwright::launcher {
namespace {

// Enough for package installers, servers on low ports and programs that change their user.
constexpr int kKeptCapabilities[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID,
                                     CAP_KILL,  CAP_SETGID,       CAP_SETUID, CAP_NET_BIND_SERVICE};

constexpr long kRefusedCalls[] = {
    // file systems and namespaces
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_move_mount,
    SYS_open_tree,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_setns,
    SYS_unshare,
    SYS_open_by_handle_at,
    SYS_name_to_handle_at,
    SYS_quotactl,
    SYS_swapon,
    SYS_swapoff,
    // the kernel itself
    SYS_reboot,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_syslog,
    SYS_acct,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_vhangup,
    SYS_lookup_dcookie,
    // shared by all users of the machine
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    SYS_sethostname,
    SYS_setdomainname,
#ifdef __x86_64__
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
    SYS_uselib,
    SYS_ustat,
    SYS_sysfs,
#endif
};

#ifdef __x86_64__
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#else
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif
constexpr uint32_t kNewNamespaces =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
// Ways past a network namespace, or rarely tested parts of the kernel.
constexpr int kFamilies[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

sock_filter load(size_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
sock_filter give(uint32_t action) { return BPF_STMT(BPF_RET | BPF_K, action); }
sock_filter skip_unless_equal(uint32_t value, uint8_t skipped) {
    return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skipped);
}
size_t argument(size_t index) { return offsetof(seccomp_data, args) + index * sizeof(uint64_t); }

std::vector<sock_filter> build_filter() {
    const uint32_t refuse = SECCOMP_RET_ERRNO | EPERM;
    std::vector<sock_filter> code;
    const auto add = [&](std::initializer_list<sock_filter> more) { code.insert(code.end(), more); };
    add({load(offsetof(seccomp_data, arch)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0),
         give(SECCOMP_RET_KILL_PROCESS), load(offsetof(seccomp_data, nr))});
#ifdef __x86_64__
    add({BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), give(refuse)});  // x32
#endif
    for (const long call : kRefusedCalls) add({skip_unless_equal(static_cast<uint32_t>(call), 1), give(refuse)});
    // The flags of clone3 lie in memory that a filter cannot read; libraries fall back to clone.
    add({skip_unless_equal(SYS_clone3, 1), give(SECCOMP_RET_ERRNO | ENOSYS)});
    add({skip_unless_equal(SYS_clone, 4), load(argument(0)), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kNewNamespaces, 0, 1),
         give(refuse), give(SECCOMP_RET_ALLOW)});
    // Devices only: FIFOs and sockets are ordinary files.
    const auto nodes = [&](long call, size_t mode) {
        add({skip_unless_equal(static_cast<uint32_t>(call), 6), load(argument(mode)),
             BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0170000), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0020000, 1, 0),
             BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0060000, 0, 1), give(refuse), give(SECCOMP_RET_ALLOW)});
    };
#ifdef SYS_mknod
    nodes(SYS_mknod, 1);
#endif
    nodes(SYS_mknodat, 2);
    const auto families = [&](long call) {
        const auto count = static_cast<uint8_t>(std::size(kFamilies));
        add({skip_unless_equal(static_cast<uint32_t>(call), static_cast<uint8_t>(count + 3)), load(argument(0))});
        for (uint8_t i = 0; i < count; ++i)
            add({BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(kFamilies[i]),
                          static_cast<uint8_t>(count - i), 0)});
        add({give(refuse), give(SECCOMP_RET_ALLOW)});
    };
    families(SYS_socket);
    families(SYS_socketpair);
    add({give(SECCOMP_RET_ALLOW)});
    return code;
}

Result<void> drop_capabilities() {
    uint32_t kept[2] = {0, 0};
    for (const int capability : kKeptCapabilities) kept[capability / 32] |= 1u << (capability % 32);
    for (int capability = 0; capability < 64; ++capability) {
        if ((kept[capability / 32] >> (capability % 32)) & 1u) continue;
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) {
            if (errno == EINVAL) break;  // the kernel has no more of them
            return error_from_errno("cannot drop a capability");
        }
    }
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {};
    for (int half = 0; half < 2; ++half) data[half].effective = data[half].permitted = kept[half];
    if (syscall(SYS_capset, &header, data) != 0) return error_from_errno("cannot drop capabilities");
    return {};
}

// Without a control group for CPU time the run gets as many CPUs as it paid for; which ones follows from its id.
Result<void> set_affinity(const executors::LaunchSpec& spec, int host) {
    cpu_set_t allowed, chosen;
    CPU_ZERO(&allowed);
    CPU_ZERO(&chosen);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return error_from_errno("cannot read the CPU affinity");
    std::vector<size_t> cpus;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
    const double paid = spec.limits_of(host).cpus;
    const size_t wanted = std::min(cpus.size(), static_cast<size_t>(std::max(1.0, std::ceil(paid))));
    const size_t first = std::hash<std::string>{}(spec.id) + static_cast<size_t>(host) * wanted;
    for (size_t i = 0; i < wanted; ++i) CPU_SET(cpus[(first + i) % cpus.size()], &chosen);
    if (sched_setaffinity(0, sizeof chosen, &chosen) != 0) return error_from_errno("cannot set the CPU affinity");
    return {};
}

// Up to the hard limit where raising it is not allowed.
void raise_limit(__rlimit_resource resource, rlim_t wanted) {
    rlimit limit{wanted, wanted};
    if (setrlimit(resource, &limit) == 0) return;
    if (getrlimit(resource, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(resource, &limit);
}

}  // namespace

Result<void> set_resource_limits(const executors::LaunchSpec& spec, int host) {
    raise_limit(RLIMIT_NOFILE, 1048576);
    raise_limit(RLIMIT_MEMLOCK, RLIM_INFINITY);
    const rlimit none{0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0) return error_from_errno("cannot forbid core dumps");
    const executors::LaunchLimits& limits = spec.limits_of(host);
    if (!spec.control_groups.has("pids") && limits.max_processes > 0) {
        const auto count = static_cast<rlim_t>(limits.max_processes);
        const rlimit processes{count, count};
        if (setrlimit(RLIMIT_NPROC, &processes) != 0) return error_from_errno("cannot limit the number of processes");
    }
    if (!spec.control_groups.has("cpu") && limits.cpus > 0) TRY(set_affinity(spec, host));
    return {};
}

Result<void> drop_privileges() {
    TRY(drop_capabilities());
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return error_from_errno("cannot forbid new privileges");
    const std::vector<sock_filter> code = build_filter();
    sock_fprog program{static_cast<unsigned short>(code.size()), const_cast<sock_filter*>(code.data())};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0)
        return error_from_errno("cannot filter system calls");
    return {};
}

}  // namespace millwright::launcher
