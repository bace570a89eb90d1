"""What containers of training jobs and endpoints may do, on each engine: the container items of the CIS Docker Benchmark
(v1.6.0, section 5), looked up in the engine and in the kernel, and the known ways out of a container, tried inside."""
import contextlib
import ctypes
import os
import re
import socket
import uuid
from pathlib import Path

import pytest
from conftest import BUSYBOX, KINDS
from engine_jobs import EngineJobs
from images import Image, compiled, layer

ATTEMPTS = Path(__file__).parent / "escapes/attempts.c"
CAPABILITIES = 0x404FB  # CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID NET_BIND_SERVICE SYS_CHROOT
ADD_KEY, KEYCTL, KEYCTL_INVALIDATE, USER_KEYRING = 248, 250, 21, -4  # of x86_64
GATE_CAPABILITIES = 0x2  # DAC_OVERRIDE, once its network is ready


class Specimens:
    """A 2-host job and an endpoint that run, and what the engine says of their containers by name: "algo-1", "algo-2",
    "replica", and "gate-…" of each."""

    def __init__(self, jobs):
        self.jobs = jobs
        self.undo = contextlib.ExitStack()  # whatever comes of the rest, the engine is others' as well
        self.listener = self.undo.enter_context(socket.create_server(("0.0.0.0", 0)))
        self.hidden = self.undo.enter_context(socket.socket(socket.AF_UNIX))
        self.hidden_name = f"escape-{uuid.uuid4().hex[:12]}"
        self.hidden.bind("\0" + self.hidden_name)
        self.hidden.listen()
        self.key = ctypes.CDLL(None).syscall(ADD_KEY, b"user", self.hidden_name.encode(), b"secret", 6, USER_KEYRING)
        self.undo.callback(ctypes.CDLL(None).syscall, KEYCTL, KEYCTL_INVALIDATE, self.key)

    def begin(self, program):
        jobs = self.jobs
        image = Image(layer({"program": program, "gain": program}, {"gain": 0o4755}), Entrypoint=["/program"])
        self.image = jobs.push(image, "team/escapes")
        self.start_neighbour()
        self.endpoint = f"serving-{uuid.uuid4().hex[:8]}"
        jobs.deploy(self.endpoint, self.image, Environment=self.aims())
        self.job = f"attempts-{uuid.uuid4().hex[:8]}"
        jobs.create(self.job, self.image, hosts=2, Environment=self.aims(), ResourceConfig={
            "InstanceCount": 2, "InstanceType": "ml.t3.medium", "VolumeSizeInGB": 5})
        for host in (1, 2):
            jobs.wait_for_line(self.job, "tried ", host)
        self.containers = self.look()

    def start_neighbour(self):
        """Somebody else's container, which serves port 80 in a network of the engine."""
        call, name = self.jobs.engine.call, f"neighbour-{uuid.uuid4().hex[:8]}"
        self.network = call("POST", "/networks/create", {"Name": name, "Driver": "bridge", "IPAM": {"Config": [
            {"Subnet": "198.20.77.0/24", "Gateway": "198.20.77.1"}]}})["Id"]
        self.undo.callback(call, "DELETE", f"/networks/{self.network}")
        self.neighbour = call("POST", f"/containers/create?name={name}", {
            "Image": BUSYBOX, "Cmd": ["/bin/httpd", "-f", "-p", "80", "-h", "/etc"], "HostConfig": {"NetworkMode": name}})["Id"]
        self.undo.callback(call, "DELETE", f"/containers/{self.neighbour}?force=1")
        call("POST", f"/containers/{self.neighbour}/start")
        self.neighbours_address = address_in(call("GET", f"/containers/{self.neighbour}/json"))
        assert self.neighbours_address.startswith("198.20.77.")

    def gate_of(self, about):
        return self.jobs.engine.call("GET", f"/containers/{about['HostConfig']['NetworkMode'].removeprefix('container:')}/json")

    def aims(self):
        """What the attempts aim at, see escapes/attempts.c."""
        server, engine = self.jobs.server, self.jobs.engine
        own = [own_address(), "127.0.0.1", "198.20.77.1"]
        goals = [(self.neighbours_address, 80)] + [(address, self.listener.getsockname()[1]) for address in own if address]
        goals += [(address, server.port) for address in [*own, "169.254.170.2"] if address]
        others = [mount["Source"] + "/served" for gate in self.jobs.containers(gate=True) for mount in gate["Mounts"]]
        folder = server.folder
        return {"AT_PID": str(server.process.pid), "AT_KEY": self.hidden_name, "AT_KEY_ID": str(self.key),
                "AT_ADDRESSES": " ".join(f"{address}:{port}" for address, port in goals),
                "AT_SOCKETS": ":".join([engine.socket, f"{folder}/api/api.sock", *others[:4], f"@{self.hidden_name}"]),
                "AT_FILES": ":".join([str(folder), f"{folder}/credentials.json", f"{folder}/jobs", str(engine.folder), __file__])}

    def look(self):
        hosts = {}
        for about in self.jobs.containers(host=True):
            is_replica = about["Args"][-1:] == ["serve"]
            hosts["replica" if is_replica else about["Config"]["Labels"]["millwright.host"]] = about
        assert sorted(hosts) == ["algo-1", "algo-2", "replica"], hosts.keys()
        return hosts | {f"gate-{name}": self.gate_of(about) for name, about in hosts.items()}

    def close(self):
        self.undo.close()


def address_in(about):
    return next(network["IPAddress"] for network in about["NetworkSettings"]["Networks"].values())


def own_address():
    """Of this machine in its network; nothing without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            any_socket.connect(("192.0.2.1", 9))  # sends nothing
            return any_socket.getsockname()[0]
        except OSError:
            return ""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled(ATTEMPTS, tmp_path_factory.mktemp("escapes") / "attempts")


@pytest.fixture(scope="module", params=KINDS)
def specimens(request, engines, program, tmp_path_factory):
    engine = engines(request.param)
    with contextlib.ExitStack() as stack:
        jobs = EngineJobs(engine, tmp_path_factory.mktemp("hardening") / "server")
        stack.callback(jobs.close)
        made = Specimens(jobs)
        stack.callback(made.close)
        made.begin(program)
        yield made


def status_of(about, field):
    text = Path(f"/proc/{about['State']['Pid']}/status").read_text()
    return re.search(rf"^{field}:\s*(.*)$", text, re.MULTILINE).group(1)


def namespace_of(about, kind):
    return os.readlink(f"/proc/{about['State']['Pid']}/ns/{kind}")


def own_namespace(kind):
    return os.readlink(f"/proc/self/ns/{kind}")


def group_value(about, controller, *files):
    """A limit as the kernel has it, from cgroup v1 or v2; None when the machine shows neither."""
    for line in Path(f"/proc/{about['State']['Pid']}/cgroup").read_text().splitlines():
        number, names, path = line.split(":", 2)
        if controller in names.split(",") or number == "0":
            for root in (f"/sys/fs/cgroup/{names}", f"/sys/fs/cgroup/{controller}", "/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
                for file in files:
                    if Path(root + path, file).exists():
                        return Path(root + path, file).read_text().split()[0]
    return None


def is_gate(name):
    return name.startswith("gate-")


def check(specimens, holds):
    """`holds` of every container by name; all that fail are named."""
    wrong = {name: reason for name, about in specimens.containers.items() if (reason := holds(name, about)) not in (True, None)}
    assert not wrong, wrong


def cis_5_2_apparmor_profile_where_the_machine_has_it(name, about):
    enabled = Path("/sys/module/apparmor/parameters/enabled")
    if enabled.exists() and enabled.read_text().strip() == "Y":
        return about["AppArmorProfile"] not in ("", "unconfined") or about["AppArmorProfile"]
    return "apparmor=unconfined" not in str(about["HostConfig"]["SecurityOpt"])


def cis_5_3_selinux_options_where_the_machine_has_it(name, about):
    if Path("/sys/fs/selinux/enforce").exists():
        return bool(about["ProcessLabel"]) or about["HostConfig"]["SecurityOpt"]
    return "label=" not in str(about["HostConfig"]["SecurityOpt"]) or about["HostConfig"]["SecurityOpt"]


def cis_5_4_capabilities_are_restricted(name, about):
    for field in ("CapEff", "CapPrm", "CapInh", "CapAmb") + (() if is_gate(name) else ("CapBnd",)):
        value = int(status_of(about, field), 16)
        if value & ~(GATE_CAPABILITIES if is_gate(name) else CAPABILITIES):
            return f"{field} {value:x}"
    return True


def cis_5_5_not_privileged(name, about):
    return about["HostConfig"]["Privileged"] is False


def cis_5_6_no_sensitive_folders_of_the_machine(name, about):
    sensitive = ("/", "/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr", "/root", "/home", "/var", "/run")
    found = [mount["Source"] for mount in about["Mounts"] if mount["Source"] in sensitive]
    return not found or found


def cis_5_7_no_ssh_server(name, about):
    processes = [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit() and in_same_pids(about, entry.name)]
    names = [said for said in map(name_of, processes) if said]
    return names != [] and "sshd" not in names or names


def name_of(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:  # it has ended: gates have a child for each connection
        return ""


def in_same_pids(about, pid):
    try:
        return os.readlink(f"/proc/{pid}/ns/pid") == namespace_of(about, "pid")
    except OSError:
        return False


def cis_5_8_5_9_5_14_no_port_of_the_machine_is_mapped(name, about):
    return not about["HostConfig"].get("PortBindings") and not about["HostConfig"].get("PublishAllPorts")


def cis_5_10_not_the_machines_network(name, about):
    return about["HostConfig"]["NetworkMode"] != "host" and namespace_of(about, "net") != own_namespace("net")


def cis_5_11_memory_is_limited(name, about):
    limit = group_value(about, "memory", "memory.limit_in_bytes", "memory.max")
    expected = 256 << 20 if is_gate(name) else 8 << 30 if name == "replica" else 4 << 30
    return (about["HostConfig"]["Memory"] == expected and limit in (str(expected), None)) or (about["HostConfig"]["Memory"], limit)


def cis_5_12_cpu_is_shared(name, about):
    host = about["HostConfig"]
    expected = 1024 if is_gate(name) else 2048
    if not is_gate(name) and host["NanoCpus"] != 2_000_000_000 and host.get("CpuQuota") != 2 * host.get("CpuPeriod", 0):
        return host["NanoCpus"]
    return host["CpuShares"] == expected or host["CpuShares"]


def cis_5_13_root_is_read_only_where_it_is_ours(name, about):
    # Jobs write where their images let them, as on the real service.
    return about["HostConfig"]["ReadonlyRootfs"] is is_gate(name)


def cis_5_15_never_restarted_by_the_engine(name, about):
    return about["HostConfig"]["RestartPolicy"]["Name"] in ("no", "") and about["RestartCount"] == 0


def cis_5_16_processes_of_its_own(name, about):
    return about["HostConfig"]["PidMode"] in ("", "private") and namespace_of(about, "pid") != own_namespace("pid")


def cis_5_17_ipc_of_its_own(name, about):
    return about["HostConfig"]["IpcMode"] in ("private", "shareable", "none", "") and namespace_of(about, "ipc") != own_namespace("ipc")


def cis_5_18_no_devices_of_the_machine(name, about):
    return not about["HostConfig"]["Devices"] and not about["HostConfig"].get("DeviceRequests")


def cis_5_19_limits_of_resources(name, about):
    limits = Path(f"/proc/{about['State']['Pid']}/limits").read_text()
    files = int(re.search(r"Max open files\s+(\d+)", limits).group(1))
    return 1024 <= files <= 1048576 or files


def cis_5_20_mounts_are_not_shared(name, about):
    spread = [mount["Destination"] for mount in about["Mounts"] if "shared" in mount.get("Propagation", "")]
    info = Path(f"/proc/{about['State']['Pid']}/mountinfo").read_text().splitlines()
    return (not spread and not any(" shared:" in line for line in info)) or spread


def cis_5_21_host_name_of_its_own(name, about):
    return about["HostConfig"]["UTSMode"] in ("", "private") and namespace_of(about, "uts") != own_namespace("uts")


def cis_5_22_system_calls_are_filtered(name, about):
    return status_of(about, "Seccomp") == "2" and "unconfined" not in str(about["HostConfig"]["SecurityOpt"])


def cis_5_23_5_24_nothing_is_executed_beside(name, about):
    return not about["ExecIDs"] or about["ExecIDs"]


def cis_5_25_control_groups_are_the_engines(name, about):
    return about["HostConfig"].get("CgroupParent") in ("", None, "/libpod_parent") or about["HostConfig"]["CgroupParent"]


def cis_5_26_no_new_privileges(name, about):
    return status_of(about, "NoNewPrivs") == "1" and "no-new-privileges" in str(about["HostConfig"]["SecurityOpt"])


def cis_5_27_health_is_the_servers_to_check(name, about):
    # An endpoint's by /ping, a job's by its end; commands of the image's author are not run by the engine.
    return (about["Config"].get("Healthcheck") or {}).get("Test") in (["NONE"], None)


def cis_5_28_the_image_is_one_digest(name, about):
    image = about["Image"].removeprefix("sha256:")
    return re.fullmatch("[0-9a-f]{64}", image) is not None or about["Image"]


def cis_5_29_processes_are_limited(name, about):
    most = about["HostConfig"]["PidsLimit"]
    limit = group_value(about, "pids", "pids.max")
    return (0 < most <= 65536 and limit in (str(most), None)) or (most, limit)


def cis_5_30_not_the_default_bridge(name, about):
    networks = list(about["NetworkSettings"]["Networks"] or {})
    return ("bridge" not in networks and "podman" not in networks and about["HostConfig"]["NetworkMode"] != "default") or networks


def cis_5_31_users_of_the_machine_are_not_asked_for(name, about):
    return about["HostConfig"]["UsernsMode"] in ("", "private") or about["HostConfig"]["UsernsMode"]


def cis_5_32_no_socket_of_an_engine(name, about):
    found = [mount["Source"] for mount in about["Mounts"] if re.search(r"docker\.sock|podman\.sock|engine\.sock|containerd", mount["Source"])]
    return not found or found


ITEMS = [value for name, value in list(globals().items()) if name.startswith("cis_")]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.__name__)
def test_item_of_the_cis_benchmark(specimens, item):
    check(specimens, item)


def verdict(lines):
    """Prints each attempt; none may be open."""
    print("\n".join(lines))
    attempts = [line for line in lines if re.match(r"(open|closed)\s", line)]
    summary = next(line for line in lines if line.startswith("tried "))
    assert len(attempts) >= 150 and summary == f"tried {len(attempts)}, open 0", [line for line in attempts if line.startswith("open")]


@pytest.mark.parametrize("host", [1, 2])
def test_no_way_out_of_a_job_is_open(specimens, host):
    verdict(specimens.jobs.lines(specimens.job, host))


def test_no_way_out_of_an_endpoint_is_open(specimens):
    runtime = specimens.jobs.server.client("sagemaker-runtime", read_timeout=70)  # a model has 60 s
    answer = runtime.invoke_endpoint(EndpointName=specimens.endpoint, Body="x", ContentType="text/plain")
    verdict(answer["Body"].read().decode().splitlines())


def test_a_job_cannot_change_what_the_engine_mounts_for_the_next_one(specimens):
    """Only folders of the run itself are writable inside."""
    folder = str(specimens.jobs.server.folder)
    for name, about in specimens.containers.items():
        if not is_gate(name):
            run = about["Config"]["Labels"]["millwright.folder"]
            assert run.startswith(folder)
            writable = [mount["Source"] for mount in about["Mounts"] if mount["RW"] and mount["Type"] == "bind"]
            assert writable and all(source.startswith(run + "/") for source in writable), writable
