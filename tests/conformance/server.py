"""Starts and stops the real binary for the tests; also used by the fault tests and the benchmark."""
import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BIN = Path(os.environ.get("MILLWRIGHT_BIN", ROOT / "build/release/bin"))
# Under ThreadSanitizer (`tools/dev tsan`) the server needs many times the time and the memory.
SANITIZED = "TSAN_OPTIONS" in os.environ
REGION = "us-west-2"
# Python environments are built once for all tests; they are kept by the hash of what they are made from.
ENVIRONMENTS = Path(os.environ.get("MILLWRIGHT_ENVIRONMENTS", ROOT / "build/environments"))


class Server:
    """One `millwright serve` on a port of its own with a data directory of its own. `config` is more of config.toml."""

    def __init__(self, folder, *options, config=""):
        self.folder = Path(folder)
        self.options = options
        self.config = f'[environments]\nfolder = "{ENVIRONMENTS}"\n' + config
        self.process = None
        self.port = 0
        self.variables = {}  # more of the server's environment
        self.prefix = []  # of its command: what runs it as somebody else

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "config.toml").exists():
            (self.folder / "config.toml").write_text(self.config)
        log = open(self.folder.parent / (self.folder.name + ".log"), "ab")
        begun = time.monotonic()
        self.process = subprocess.Popen(
            [*self.prefix, BIN / "millwright", "serve", "--data-dir", self.folder, "--listen", f"127.0.0.1:{self.port}", *self.options],
            stdout=log, stderr=log, env={**os.environ, **self.variables})
        self._wait_until_it_answers()
        self.seconds_to_answer = time.monotonic() - begun
        return self

    def _wait_until_it_answers(self):
        deadline = time.monotonic() + 60
        note = self.folder / "server.json"
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}: {self.log()[-2000:]}")
            try:
                about = json.loads(note.read_text())
                if about["pid"] == self.process.pid:
                    self.port = int(about["url"].rsplit(":", 1)[1])
                    urllib.request.urlopen(self.url + "/health", timeout=5).read()
                    return
            except (OSError, ValueError, KeyError, urllib.error.URLError):
                time.sleep(0.002)
        raise RuntimeError("the server did not answer within 60 s: " + self.log()[-2000:])

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def credentials(self):
        return json.loads((self.folder / "credentials.json").read_text())

    @property
    def account(self):
        return self.credentials["AccountId"]

    def log(self):
        return (self.folder.parent / (self.folder.name + ".log")).read_text(errors="replace")

    def audit_lines(self):
        """Of the audit log; the last may be only half written."""
        text = (self.folder / "logs/audit/audit.jsonl").read_text()
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def environment(self, *options):
        """What `eval "$(millwright env)"` gives a shell; `options`: of the command, such as --proxy."""
        text = subprocess.run([BIN / "millwright", "env", "--data-dir", self.folder, *options], check=True,
                              capture_output=True, text=True).stdout
        result = {}
        for line in text.splitlines():
            if line.startswith("export "):
                name, value = line[len("export "):].split("=", 1)
                result[name] = value.strip("'")
        return result

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
                raise RuntimeError("the server did not stop within 30 s of SIGTERM")

    def end_everything(self):
        """Ends the server and every run it left behind."""
        try:
            self.stop()
        finally:
            for pid in launchers_of(self.folder):
                with contextlib.suppress(ProcessLookupError):  # it was about to end
                    os.kill(pid, signal.SIGKILL)

    def boto_session(self, **changes):
        import boto3
        known = self.credentials
        arguments = dict(aws_access_key_id=known["AccessKeyId"], aws_secret_access_key=known["SecretAccessKey"],
                         region_name=known["Region"])
        arguments.update(changes)
        return boto3.Session(**arguments)

    def client(self, service, **config):
        from botocore.config import Config
        return self.boto_session().client(service, endpoint_url=self.url,
                                          config=Config(retries={"max_attempts": 0}, **config))


def launchers_of(folder):
    """Process ids of the launchers that work for this data directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if "millwright-launcher" in command and str(folder) in command:
                found.append(int(entry.name))
    return found


def paths_below(folder):
    """What lies there, also while the server removes some of it."""
    return [Path(at) / name for at, folders, files in os.walk(folder) for name in folders + files]


def mounts_and_cgroups(folder, runs):
    """Of these runs; other servers may have theirs on the machine."""
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(folder) in line]
    groups = [path for path in Path("/sys/fs/cgroup").glob("**/millwright*/*") if path.name.split(".")[0] in runs]
    return mounts + [str(path) for path in groups]


def processes_of(folder):
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if str(folder).encode() in command and b"serve" not in command:
            found.append((entry.name, command))
    return found
