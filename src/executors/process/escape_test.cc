// The ways out of a container that are known: each is tried inside, as root, with and without an image.
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "executors/process/image_run_fixture.h"
#include "executors/process/run_folder.h"

namespace millwright::executors {
namespace {

// Prints "open: <what>" for every attempt that succeeds, and how many were made.
constexpr const char* kAttempts = R"(
import ctypes, fcntl, os, resource, shutil, socket, struct, subprocess
libc = ctypes.CDLL(None, use_errno=True)
made = 0
def attempt(what, action):
    global made
    made += 1
    try:
        result = action()
    except Exception:
        return
    if result is not False:
        print('open:', what, result)
def call(what, number, *arguments):
    def go():
        result = libc.syscall(number, *arguments)
        return result if result >= 0 else False
    attempt(what, go)
def write(path, text):
    with open(path, 'r+') as file: file.write(text)
os.makedirs('/tmp/m', exist_ok=True)
# Mounts: old calls, new calls, file systems that show the machine.
for kind in ['proc', 'sysfs', 'cgroup', 'cgroup2', 'tmpfs', 'debugfs', 'securityfs', 'overlay', 'devtmpfs', 'ext4']:
    attempt('mount ' + kind, lambda: libc.mount(b'none', b'/tmp/m', kind.encode(), 0, b'') == 0)
for device in ['/dev/vda', '/dev/sda', '/dev/vda1', '/dev/nvme0n1']:
    attempt('mount ' + device, lambda: libc.mount(device.encode(), b'/tmp/m', b'ext4', 0, None) == 0)
attempt('bind mount', lambda: libc.mount(b'/', b'/tmp/m', None, 4096, None) == 0)
attempt('remount', lambda: libc.mount(b'', b'/proc/sys', None, 32 | 4096, None) == 0)
attempt('umount', lambda: libc.umount2(b'/proc/sys', 2) == 0)
call('fsopen', 430, b'proc', 0)
call('open_tree', 428, -100, b'/', 1)
call('move_mount', 429, -100, b'/tmp', -100, b'/opt', 0)
call('pivot_root', 155, b'.', b'.')
call('chroot', 161, b'/tmp')
call('unshare', 272, 0x00020000)
call('unshare user', 272, 0x10000000)
for name, flag in [('mnt', 0x20000), ('cgroup', 0x2000000), ('uts', 0x4000000), ('ipc', 0x8000000), ('user', 0x10000000),
                   ('pid', 0x20000000), ('net', 0x40000000)]:
    call('unshare ' + name, 272, flag)
    call('clone into ' + name, 56, flag | 17, 0, 0, 0, 0)
    call('clone3 into ' + name, 435, struct.pack('<11Q', flag, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0), 88)
call('mount_setattr', 442, -100, b'/', 0x8000, struct.pack('<4Q', 0, 1, 0, 0), 32)
call('fspick', 433, -100, b'/', 0)
handle = ctypes.create_string_buffer(b'\x80' + bytes(200))
call('name_to_handle_at', 303, -100, b'/', handle, bytes(8), 0)
call('open_by_handle_at', 304, -100, ctypes.create_string_buffer(64), 0)
for name in ['mnt', 'net', 'user', 'pid', 'ipc', 'uts', 'cgroup']:
    attempt('setns ' + name, lambda: libc.setns(os.open('/proc/1/ns/' + name, os.O_RDONLY), 0) == 0)
# Other processes.
for request in [16, 0x4206]:
    for pid in [1, launcher]:
        attempt(f'ptrace {pid}', lambda: libc.ptrace(request, pid, 0, 0) == 0)
for path in ['/proc/1/root/etc/passwd', '/proc/1/mem', '/proc/1/environ', f'/proc/{launcher}/root/etc', '/proc/1/cwd/x']:
    attempt(path, lambda: os.open(path, os.O_RDONLY))
buffer = ctypes.create_string_buffer(64)
vector = struct.pack('<QQ', ctypes.addressof(buffer), 64)
for pid in [1, launcher]:
    call(f'process_vm_readv {pid}', 310, pid, vector, 1, struct.pack('<QQ', 0x400000, 64), 1, 0)
    call(f'process_vm_writev {pid}', 311, pid, vector, 1, struct.pack('<QQ', 0x400000, 64), 1, 0)
attempt('limits of the launcher', lambda: resource.prlimit(launcher, resource.RLIMIT_NOFILE))
def steal():
    return libc.syscall(438, os.pidfd_open(1), 0, 0) >= 0
attempt('pidfd_getfd of the first process', steal)
attempt('kill the launcher', lambda: os.kill(launcher, 9))
attempt('pidfd of the launcher', lambda: os.pidfd_open(launcher))
# Raw sockets and foreign families.
for family, kind, protocol in [(socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_INET, socket.SOCK_RAW, 255),
                               (socket.AF_INET6, socket.SOCK_RAW, 58), (17, socket.SOCK_RAW, 0x300),
                               (17, socket.SOCK_DGRAM, 0x300), (38, 5, 0), (40, 1, 0), (30, 1, 0), (31, 3, 1),
                               (44, 3, 0), (15, 3, 2), (21, 5, 0)]:
    attempt(f'socket {family} {kind}', lambda: socket.socket(family, kind, protocol))
def audit(kind, text):
    s = socket.socket(16, socket.SOCK_RAW, 9)
    s.settimeout(.2)
    s.sendto(struct.pack('<IHHII', 16 + len(text), kind, 5, 1, 0) + text, (0, 0))
    return struct.unpack('<i', s.recv(4096)[16:20])[0] >= 0
attempt('the audit log of the machine', lambda: audit(1000, b''))
attempt('a lie in the audit log', lambda: audit(1112, b'op=login'))
# The network: devices, routes, the addresses of clouds, the machine's own, and what another job listens on.
plain = socket.socket()
attempt('down with a device', lambda: fcntl.ioctl(plain, 0x8914, struct.pack('16sH14s', b'lo', 0, b'')))
attempt('a route', lambda: fcntl.ioctl(plain, 0x890B, bytes(128)))
own = struct.pack('16sHH4s8s', b'eth0', 2, 0, bytes([10, 0, 0, 1]), b'')
attempt('an address', lambda: fcntl.ioctl(plain, 0x8916, own))
def dial(host, port):
    s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET)
    s.settimeout(.2)
    s.connect((host, port))
for host, port in [('169.254.169.254', 80), ('fd00:ec2::254', 80), ('8.8.8.8', 53), ('10.254.0.2', victim_port),
                   ('10.254.0.1', victim_port), ('10.254.255.255', victim_port)]:
    attempt(f'dial {host}', lambda: dial(host, port))
for host in host_addresses:
    attempt(f'dial the machine at {host}', lambda: dial(host, host_port))
def shared_memory():
    return libc.shmget(shared_key, 0, 0) >= 0
attempt('shared memory of the machine', shared_memory)
# The machine's files.
for path in [host_folder, host_folder + '/launch', host_folder + '/algo-1/ml/secret', '/dev/console', '/dev/tty',
             '/dev/pts/0', '/proc/1/root' + host_folder, '/proc/1/task/1/root/boot', '/proc/vmallocinfo',
             '/proc/slabinfo', '/work', '/etc/shadow', '/host', '/var/lib/docker', '/boot/vmlinuz',
             '/run/containerd', '/sys/fs/cgroup', '/sys/kernel', '/sys/firmware', '/sys/class', '/dev/mem', '/dev/kmsg',
             '/dev/port', '/dev/vda', '/dev/sda', '/dev/kvm', '/dev/fuse', '/dev/net/tun', '/dev/loop-control',
             '/proc/kcore', '/proc/kmsg', '/proc/sched_debug', '/proc/timer_list', '/proc/keys', '/proc/kpagecount']:
    attempt(path, lambda: os.listdir(path) if os.path.isdir(path) else (os.read(os.open(path, os.O_RDONLY), 1) or False))
    link = '/opt/ml/output/link'
    if os.path.lexists(link): os.unlink(link)
    os.symlink(path, link)
    attempt('link to ' + path, lambda: os.listdir(link) if os.path.isdir(link) else (open(link, 'rb').read(1) or False))
os.unlink('/opt/ml/output/link')
# Devices of one's own.
for name, device in [('disk', (8, 0)), ('vda', (254, 0)), ('mem', (1, 1))]:
    for kind in [0o60000, 0o20000]:
        attempt('mknod ' + name, lambda: os.mknod('/tmp/' + name + str(kind), kind | 0o666, os.makedev(*device)))
# An engine's socket, and whatever else listens on the machine.
for path in ['/var/run/docker.sock', '/run/docker.sock', '/run/podman/podman.sock', '/run/containerd/containerd.sock',
             '/run/crio/crio.sock', '/run/dbus/system_bus_socket', host_socket, '\0' + abstract]:
    def connect():
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
    attempt('connect ' + repr(path), connect)
def reach():
    s = socket.socket()
    s.settimeout(.1)
    s.connect(('127.0.0.1', host_port))
attempt('a service of the machine', reach)
# Control groups: a program that the kernel would start outside.
for path in ['/sys/fs/cgroup/release_agent', '/sys/fs/cgroup/memory/release_agent', '/tmp/m/release_agent',
             '/proc/sys/kernel/core_pattern', '/proc/sys/kernel/modprobe', '/proc/sys/kernel/hotplug',
             '/sys/kernel/uevent_helper', '/proc/sys/fs/binfmt_misc/register', '/proc/sys/vm/overcommit_memory',
             '/proc/sys/net/ipv4/ip_forward', '/proc/sys/kernel/hostname', '/proc/sysrq-trigger', '/proc/acpi/call',
             '/proc/irq/0/smp_affinity', '/proc/bus/pci/devices', '/proc/1/oom_score_adj', '/proc/scsi/scsi']:
    attempt('write ' + path, lambda: write(path, 'h'))
# The kernel.
call('init_module', 175, 0, 0, b'')
call('finit_module', 313, 0, b'', 0)
call('delete_module', 176, b'x', 0)
call('kexec_file_load', 320, 0, 0, 1, b'', 0)
call('request_key', 249, b'user', b'x', b'y', -2)
call('keyctl join', 250, 1, 0)
call('io_uring_register', 427, 0, 0, 0, 0)
call('fanotify_init', 300, 4, 0)
call('acct', 163, b'/tmp/acct')
call('lookup_dcookie', 212, 1, ctypes.create_string_buffer(64), 64)
call('clock_settime', 227, 0, struct.pack('<QQ', 1, 0))
call('adjtimex', 159, ctypes.create_string_buffer(struct.pack('<I', 0x4000) + bytes(300)))
call('ioperm', 173, 0x378, 1, 1)
call('modify_ldt', 154, 1, ctypes.create_string_buffer(16), 16)
call('setdomainname', 171, b'other', 5)
call('vhangup', 153)
call('swapoff', 168, b'/')
call('nfsservctl', 180, 0, 0, 0)
call('kexec_load', 246, 0, 0, 0, 0)
call('bpf', 321, 0, ctypes.create_string_buffer(128), 128)
call('perf_event_open', 298, ctypes.create_string_buffer(128), 0, -1, -1, 0)
call('io_uring_setup', 425, 8, ctypes.create_string_buffer(256))
call('userfaultfd', 323, 0)
call('keyctl', 250, 0, -3, 1)
call('add_key', 248, b'user', b'x', b'y', 1, -2)
call('syslog', 103, 3, ctypes.create_string_buffer(128), 128)
call('iopl', 172, 3)
call('settimeofday', 164, ctypes.create_string_buffer(16), 0)
call('sethostname', 170, b'other', 5)
call('reboot', 169, 0xfee1dead, 672274793, 0, 0)
call('quotactl', 179, 0, b'', 0, 0)
call('swapon', 167, b'/tmp/swap', 0)
# Privileges: a set-id program, capabilities of files, attributes that overlayfs would obey.
attempt('capabilities of a file', lambda: os.setxattr('/tmp/m', 'security.capability',
    struct.pack('<5I', 0x2000001, -1 & 0xffffffff, 0, 0, 0)))
attempt('trusted attributes', lambda: os.setxattr('/tmp/m', 'trusted.overlay.opaque', b'y'))
attempt('more capabilities', lambda:
    int([l for l in open('/proc/self/status') if l.startswith('CapEff')][0].split()[1], 16) & 0x1fffffffb04 or False)
attempt('new privileges', lambda: 'NoNewPrivs:\t1' not in open('/proc/self/status').read())
attempt('no filter', lambda: 'Seccomp:\t2' not in open('/proc/self/status').read())
attempt('nice', lambda: os.nice(-10))
attempt('a better score', lambda: write('/proc/self/oom_score_adj', '-1000'))
attempt('real time', lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50)))
attempt('core dumps', lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20)))
attempt('ambient capabilities', lambda: libc.prctl(47, 2, 21, 0, 0) == 0)
attempt('new privileges again', lambda: libc.prctl(38, 0, 0, 0, 0) == 0)
attempt('a file that cannot be changed', lambda: fcntl.ioctl(os.open('/tmp', os.O_RDONLY), 0x40086602, struct.pack('<l', 0x10)))
def rise():
    shutil.copy('/usr/bin/id', '/tmp/id')
    os.chmod('/tmp/id', 0o6755)
    def fall():
        os.setgroups([])
        os.setgid(1000)
        os.setuid(1000)
    said = subprocess.run(['/tmp/id', '-u'], preexec_fn=fall, capture_output=True, text=True, check=True).stdout
    return 'set-id' if said.strip() == '0' else False
attempt('a set-id program', rise)
def climb():
    fd = os.open('/', os.O_RDONLY)
    for _ in range(64): fd = os.open('..', os.O_RDONLY, dir_fd=fd)
    return False if os.path.sameopenfile(fd, os.open('/', os.O_RDONLY)) else 'out'
attempt('climbing', climb)
print('tried', made)
)";

class EscapeTest : public ImageRunTest {
  protected:
    RunSpec with_or_without_image(const std::string& text) {
        if (GetParam() != Way::NoImage) return image_script(text);
        RunSpec spec = script(text);
        for (const char* name : {"input", "output"}) EXPECT_TRUE(make_directories(ml(spec) + "/" + name).has_value());
        return spec;
    }
};

Fd listen_on(int family, const void* address, socklen_t size) {
    Fd listener(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(bind(listener.get(), static_cast<const sockaddr*>(address), size), 0);
    EXPECT_EQ(listen(listener.get(), 16), 0);
    return listener;
}

// Of this machine, as members of a list in Python. Those that every run has itself are not.
std::string own_addresses() {
    std::string found;
    ifaddrs* all = nullptr;
    if (getifaddrs(&all) != 0) return found;
    for (const ifaddrs* one = all; one; one = one->ifa_next) {
        if (!one->ifa_addr || one->ifa_addr->sa_family != AF_INET) continue;
        char text[INET_ADDRSTRLEN] = {};
        inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr, text, sizeof text);
        if (!std::string_view(text).starts_with("10.254.")) found += "'" + std::string(text) + "', ";
    }
    freeifaddrs(all);
    return found;
}

TEST_P(EscapeTest, NoWayOutIsOpen) {
    RunSpec victim = script(
        "echo secret > /opt/ml/secret; exec python3 -c \"import socket, time; s = socket.create_server(('', 7777)); "
        "time.sleep(1000)\"");
    RunRecorder recorder;
    ASSERT_TRUE(executor_->start(victim, recorder).has_value());
    ASSERT_TRUE(recorder.await_start());
    const auto launcher = owner_of_run(victim.folder);
    ASSERT_TRUE(launcher.has_value());
    sockaddr_in address{};
    address.sin_family = AF_INET;
    const Fd service = listen_on(AF_INET, &address, sizeof address);
    socklen_t size = sizeof address;
    getsockname(service.get(), reinterpret_cast<sockaddr*>(&address), &size);
    sockaddr_un named{}, abstract{};
    named.sun_family = abstract.sun_family = AF_UNIX;
    const std::string path = base_ + "/s", hidden = "escape-" + system_random().hex(8);
    path.copy(named.sun_path, sizeof named.sun_path - 1);
    hidden.copy(abstract.sun_path + 1, sizeof abstract.sun_path - 2);
    const Fd on_path = listen_on(AF_UNIX, &named, sizeof named);
    const Fd on_name = listen_on(AF_UNIX, &abstract, static_cast<socklen_t>(3 + hidden.size()));
    const int key = static_cast<int>(system_random().below(0x7fffffff)) + 1;
    const int shared = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0666);
    ASSERT_GE(shared, 0);
    RunSpec spec = with_or_without_image("exec python3 /opt/ml/input/attempts.py");
    const std::string known =
        "launcher = " + std::to_string(launcher->pid) + "\nhost_folder = '" + victim.folder + "'\nhost_socket = '" +
        path + "'\nabstract = '" + hidden + "'\nhost_port = " + std::to_string(ntohs(address.sin_port)) +
        "\nvictim_port = 7777\nshared_key = " + std::to_string(key) + "\nhost_addresses = [" + own_addresses() + "]\n";
    ASSERT_TRUE(write_file(ml(spec) + "/input/attempts.py", known + kAttempts).has_value());
    const RunOutcome outcome = run(spec);
    shmctl(shared, IPC_RMID, nullptr);
    ASSERT_EQ(outcome.hosts.size(), 1u) << outcome.message;
    EXPECT_EQ(outcome.hosts[0].exit_code, 0);
    const std::string log = log_of(spec);
    EXPECT_TRUE(log.starts_with("tried ")) << log;
    std::printf("escapes %s", log.c_str());
    EXPECT_TRUE(owner_of_run(victim.folder).has_value());
    ASSERT_TRUE(executor_->kill(victim.id).has_value());
    recorder.await_end();
}

INSTANTIATE_TEST_SUITE_P(Ways, EscapeTest,
                         testing::Values(Way::NoImage, Way::AsProbed, Way::Copies, Way::UserNamespace), name_of_way);

}  // namespace
}  // namespace millwright::executors
