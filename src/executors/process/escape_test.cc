// The ways out of a container that are known: each is tried inside, as root, with and without an image.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "executors/process/image_run_fixture.h"
#include "executors/process/run_folder.h"

namespace millwright::executors {
namespace {

// Prints "open: <what>" for every attempt that succeeds, and how many were made.
constexpr const char* kAttempts = R"(
import ctypes, os, socket, struct, subprocess
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
call('clone into a namespace', 56, 0x10000000 | 17, 0, 0, 0, 0)
call('open_by_handle_at', 304, -100, ctypes.create_string_buffer(64), 0)
for name in ['mnt', 'net', 'user', 'pid', 'ipc', 'uts', 'cgroup']:
    attempt('setns ' + name, lambda: libc.setns(os.open('/proc/1/ns/' + name, os.O_RDONLY), 0) == 0)
# Other processes.
for request in [16, 0x4206]:
    for pid in [1, launcher]:
        attempt(f'ptrace {pid}', lambda: libc.ptrace(request, pid, 0, 0) == 0)
for path in ['/proc/1/root/etc/passwd', '/proc/1/mem', '/proc/1/environ', f'/proc/{launcher}/root/etc', '/proc/1/cwd/x']:
    attempt(path, lambda: os.open(path, os.O_RDONLY))
attempt('kill the launcher', lambda: os.kill(launcher, 9))
attempt('pidfd of the launcher', lambda: os.pidfd_open(launcher))
# Raw sockets and foreign families.
for family, kind, protocol in [(socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_INET, socket.SOCK_RAW, 255),
                               (socket.AF_INET6, socket.SOCK_RAW, 58), (17, socket.SOCK_RAW, 0x300),
                               (17, socket.SOCK_DGRAM, 0x300), (38, 5, 0), (40, 1, 0), (30, 1, 0), (31, 3, 1)]:
    attempt(f'socket {family} {kind}', lambda: socket.socket(family, kind, protocol))
# The machine's files.
for path in [host_folder, host_folder + '/launch', '/work', '/etc/shadow', '/host', '/var/lib/docker', '/boot/vmlinuz',
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

TEST_P(EscapeTest, NoWayOutIsOpen) {
    RunSpec victim = script("exec sleep 1000");
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
    RunSpec spec = with_or_without_image("exec python3 /opt/ml/input/attempts.py");
    const std::string known = "launcher = " + std::to_string(launcher->pid) + "\nhost_folder = '" + victim.folder +
                              "'\nhost_socket = '" + path + "'\nabstract = '" + hidden +
                              "'\nhost_port = " + std::to_string(ntohs(address.sin_port)) + "\n";
    ASSERT_TRUE(write_file(ml(spec) + "/input/attempts.py", known + kAttempts).has_value());
    const RunOutcome outcome = run(spec);
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
