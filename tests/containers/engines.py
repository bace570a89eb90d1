"""Container engines of the tests' own: a Docker daemon, or Podman's service, on a socket in a temporary folder."""
import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import time
import urllib.parse
from pathlib import Path

KINDS = ("docker", "podman")
# More than that this machine may not permit.
ULIMITS = ("nofile=20000:20000", "nproc=4096:4096")
ENGINE_PROGRAMS = ("dockerd", "containerd", "containerd-shim-runc-v2", "containerd-shim", "conmon", "runc", "podman")


class NoEngine(Exception):
    """Why an engine cannot be started here."""


class Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("engine", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Engine:
    """`options`: further arguments of dockerd; `variables`: more of its environment; `before`: words before its own."""

    def __init__(self, kind, folder, *options, variables=(), before=()):
        self.kind, self.folder, self.options = kind, Path(folder), options
        self.socket = str(self.folder / "engine.sock")
        self.process = None
        self.variables, self.before = dict(variables), list(before)

    def start(self):
        programs = ("dockerd", "containerd", "runc") if self.kind == "docker" else ("podman", "conmon", "runc")
        missing = [program for program in programs if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
        if missing:
            raise NoEngine(f"{', '.join(missing)} not installed")
        if os.geteuid() != 0:
            raise NoEngine("starting an engine for tests needs root")
        self.folder.mkdir(parents=True, exist_ok=True)
        command = self.before + (self.docker() if self.kind == "docker" else self.podman())
        self.log = self.folder / "engine.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                                            env={**os.environ, **self.variables})
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise NoEngine(f"{self.kind} does not run here: {self.log.read_text()[-800:]}")
            try:
                self.call("GET", "/version")
                return self
            except OSError:
                time.sleep(0.1)
        raise NoEngine(f"{self.kind} did not answer: {self.log.read_text()[-800:]}")

    def docker(self):
        limits = [part for limit in ULIMITS for part in ("--default-ulimit", limit)]
        return ["dockerd", "-H", f"unix://{self.socket}", "--data-root", str(self.folder / "data"), "--exec-root",
                str(self.folder / "exec"), "-p", str(self.folder / "pid"), "--bridge=none", *limits, *self.options]

    def podman(self):
        (self.folder / "containers.conf").write_text(
            f"[containers]\ndefault_ulimits = {json.dumps(ULIMITS)}\n[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\n"
            f"events_logger = \"file\"\n[network]\nnetwork_backend = \"netavark\"\nnetwork_config_dir = \"{self.folder}/networks\"\n")
        (self.folder / "storage.conf").write_text(
            f"[storage]\ndriver = \"overlay\"\ngraphroot = \"{self.folder}/storage\"\nrunroot = \"{self.folder}/run\"\n")
        self.variables = {**self.variables, "CONTAINERS_CONF": str(self.folder / "containers.conf"),
                          "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf")}
        return ["podman", "system", "service", "--time=0", f"unix://{self.socket}"]

    def call(self, method, target, body=None, content_type="application/json", timeout=60):
        connection = Connection(self.socket, timeout)
        try:
            if isinstance(body, (dict, list)):
                body = json.dumps(body).encode()
            connection.request(method, target, body, {"Content-Type": content_type})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {target}: {answer.status} {content[:500]!r}")
        try:
            return json.loads(content)
        except ValueError:
            return content

    def import_image(self, tar, name):
        """From the tar of a file system; the name it then has. With the PATH that images have."""
        path = "PATH%3D/usr/local/sbin%3A/usr/local/bin%3A/usr/sbin%3A/usr/bin%3A/sbin%3A/bin"
        self.call("POST", f"/images/create?fromSrc=-&repo={name}&changes=ENV%20{path}", tar, "application/x-tar")
        return name

    def for_commands(self, folder):
        """The environment in which `docker` or `podman` means this engine; logins are kept in the folder."""
        if self.kind == "podman":
            return {**self.variables, "REGISTRY_AUTH_FILE": f"{folder}/auth.json"}
        return {"DOCKER_HOST": f"unix://{self.socket}", "DOCKER_CONFIG": str(folder), "DOCKER_BUILDKIT": "0"}

    def ours(self, what="containers", folder=None, labels=()):
        """Containers, or networks, with a label of a Millwright server: of any, or of the one with this data directory."""
        path = "/containers/json?all=1&" if what == "containers" else "/networks?"
        owner = "millwright.data" + (f"={(Path(folder) / 'containers/id').read_text().strip()}" if folder else "")
        return self.call("GET", path + "filters=" + urllib.parse.quote(json.dumps({"label": [owner, *labels]})))

    def start_again(self):
        """After its end; what it left may need a moment more to go, and then its first attempt fails."""
        for attempts_left in (2, 1, 0):
            try:
                return self.start()
            except NoEngine:
                if not attempts_left:
                    raise
                time.sleep(1)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(120)
            except subprocess.TimeoutExpired:
                self.kill()

    def close(self):
        """Ends it with all its containers, and removes what it leaves."""
        try:
            for container in self.call("GET", "/containers/json?all=1"):
                try:
                    self.call("DELETE", f"/containers/{container['Id']}?force=1&v=1")
                except RuntimeError:
                    pass  # Podman: others depend on it; once more below
            for container in self.call("GET", "/containers/json?all=1"):
                self.call("DELETE", f"/containers/{container['Id']}?force=1&v=1")
            for network in self.ours("networks"):
                self.call("DELETE", f"/networks/{network.get('Id') or network['id']}")
        except (OSError, RuntimeError):
            pass
        self.stop()
        # With its own end it may leave containerd behind when it was killed before.
        for pid in self.leftover_processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(f"{self.folder}/")), reverse=True):
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def leftover_processes(self):
        """Of the engine, each after the containers that it holds."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    command = (entry / "cmdline").read_bytes()
                    children = (entry / f"task/{entry.name}/children").read_text().split()
                except OSError:
                    continue
                if f"{self.folder}/".encode() in command and Path(command.split(b"\0")[0].decode()).name in ENGINE_PROGRAMS:
                    found += [*map(int, children), int(entry.name)]
        return found


class FileSystem:
    """The tar of one, as engines import it."""

    def __init__(self):
        self.packed = io.BytesIO()
        self.archive = tarfile.open(fileobj=self.packed, mode="w")
        self.there = set()

    def folder(self, path, mode=0o755):
        if path and path not in self.there:
            self.folder(path.rpartition("/")[0])
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            self.archive.addfile(entry)
            self.there.add(path)

    def file(self, path, content, mode=0o755):
        path = str(path).lstrip("/")
        if path in self.there:
            return
        self.folder(path.rpartition("/")[0])
        entry = tarfile.TarInfo(path)
        entry.size, entry.mode = len(content), mode
        self.archive.addfile(entry, io.BytesIO(content))
        self.there.add(path)

    def link(self, path, target):
        self.folder(path.rpartition("/")[0])
        entry = tarfile.TarInfo(path)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        self.archive.addfile(entry)

    def tar(self):
        self.archive.close()
        return self.packed.getvalue()


def busybox():
    """A file system with busybox under all its names."""
    program = shutil.which("busybox")
    if not program:
        raise NoEngine("busybox-static is not installed")
    names = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    made = FileSystem()
    for folder, mode in {"bin": 0o755, "etc": 0o755, "tmp": 0o1777, "opt": 0o755}.items():
        made.folder(folder, mode)
    made.file("bin/busybox", Path(program).read_bytes())
    for name in names:
        if name != "busybox":
            made.link(f"bin/{name}", "busybox")
    made.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1000::/tmp:/bin/sh\n", 0o644)
    return made


def busybox_tar():
    return busybox().tar()


def python_tar():
    """Busybox, and this machine's Python with its standard library: some 30 MiB."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if not python:
        raise NoEngine("this machine has no Python of its own")
    library = Path(subprocess.run([python, "-I", "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"],
                                  capture_output=True, text=True, check=True).stdout.strip())
    made, needed = busybox(), {python}
    left_out = {"__pycache__", "test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "pydoc_data", "dist-packages",
                "site-packages"}
    for path in sorted(library.rglob("*")):
        parts = path.relative_to(library).parts
        if path.is_file() and not left_out.intersection(parts) and not parts[0].startswith("config-"):
            made.file(path, path.read_bytes(), 0o644)
            needed.update({path} if path.suffix == ".so" else ())
    told = subprocess.run(["ldd", *map(str, needed)], capture_output=True, text=True, check=False).stdout
    for word in {word for word in told.split() if word.startswith("/") and not word.endswith(":")}:
        made.file(word, Path(word).read_bytes())
    made.file(python, Path(python).read_bytes())
    made.link("usr/bin/env", "/bin/busybox")
    return made.tar()
