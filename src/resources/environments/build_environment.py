"""Builds one environment; runs inside a run of its own (docs/internals/environments.md).

/opt/ml/plan.json says what; /opt/ml/packages.json is the result, /opt/ml/failure the reason there is none. Lines of the
output that begin with "@ " tell how far it is.
"""
import json
import os
import re
import stat
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ML = Path("/opt/ml")
MAX_FAILURE = 2000


class Failed(Exception):
    pass


def say(line):
    print("@ " + line, flush=True)


def progress_of(line):
    """What a line of pip's means for who waits; None: nothing."""
    found = re.match(r"\s*Downloading (?:\S*/)?(\S+) \((.+)\)$", line)
    if found and not found[1].endswith(".metadata") and re.search("[MG]B", found[2]):
        return f"Downloading {found[1]} ({found[2]})"
    found = re.match(r"\s*Building wheel for (\S+) ", line)
    if found:
        return f"Building {found[1]}"
    found = re.match(r"Installing collected packages: (.*)", line)
    if found:
        names = found[1].split(", ")
        return f"Installing {len(names)} packages" if len(names) > 8 else "Installing " + ", ".join(names)
    return None


def relevant(lines):
    """The lines in which pip says why it failed."""
    lines = [line.rstrip() for line in lines if line.strip()]
    network = [line for line in lines if line.startswith("WARNING: Retrying")][-1:]
    begun = [i for i, line in enumerate(lines) if re.match(r"\s*(error: |ERROR: Exception)", line)]
    if begun:
        said = lines[begun[0]:][-15:]
    else:
        said = [line for line in lines if line.startswith("ERROR:")] or lines[-5:]
    text = "\n".join(network + said)
    return text if len(text) <= MAX_FAILURE else "…" + text[-MAX_FAILURE:]


def pip_install(python, *arguments):
    command = [python, "-m", "pip", "install", "--no-input", "--progress-bar=off", "--no-cache-dir",
               "--disable-pip-version-check", "--no-warn-script-location", "--root-user-action=ignore", *arguments]
    lines = []
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace") as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line[:500])
            del lines[:-200]
            if told := progress_of(line):
                say(told)
    if process.returncode != 0:
        raise Failed(relevant(lines))


def site_packages(prefix):
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(prefix), "platbase": str(prefix)}))


def take_scripts(base, prefix):
    """Scripts of the base start its interpreter, which does not see the packages on top; these start ours."""
    for script in (base / "bin").iterdir():
        copy = prefix / "bin" / script.name
        if os.path.lexists(copy) or script.is_symlink() or not script.is_file():
            continue
        text = script.read_bytes()
        if text.startswith(f"#!{base}/bin/python".encode()):
            copy.write_bytes(text.replace(f"{base}/bin/".encode(), f"{prefix}/bin/".encode(), 1))
            copy.chmod(0o755)


def build(plan):
    prefix, base = Path(plan["prefix"]), Path(plan["base"]) if plan["base"] else None
    say("Making a virtual environment")
    # The folder itself is a mount, so it can be filled but not replaced.
    venv.EnvBuilder(symlinks=True, with_pip=base is None).create(prefix)
    python = str(prefix / "bin/python3")
    packages = site_packages(prefix)
    if base:
        (packages / "millwright_base.pth").write_text(f"import site; site.addsitedir({str(site_packages(base))!r})\n")
    if plan["compatibility"]:
        (packages / "millwright_compatibility.py").write_text(plan["compatibility"])
        (packages / "millwright_compatibility.pth").write_text("import millwright_compatibility\n")
    (ML / "pins.txt").write_text(plan["pins"])
    (ML / "requirements.txt").write_text(plan["packages"])
    if plan["build_tools"]:
        pip_install(python, *plan["build_tools"].split())
    if plan["alone"]:
        say("Asking the package index")
        pip_install(python, "--no-deps", *plan["alone"].split())
    if plan["packages"].strip():
        say("Asking the package index")
        pip_install(python, *(["--no-build-isolation"] if plan["build_tools"] else []), "-c", str(ML / "pins.txt"), "-r",
                    str(ML / "requirements.txt"))
    if base:
        take_scripts(base, prefix)
    say("Looking through what was installed")
    if plan["compatibility"]:
        subprocess.run([python, "-m", "compileall", "-q", str(packages / "millwright_compatibility.py")], check=True)
    listed = subprocess.run([python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"], check=True,
                            stdout=subprocess.PIPE).stdout
    for folder, _, names in os.walk(prefix):
        for name in names:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode):
                os.chmod(path, stat.S_IMODE(mode) & ~0o222)
    result = [f"{package['name']}=={package['version']}" for package in json.loads(listed)]
    (ML / "packages.json").write_text(json.dumps(result))


def main():
    try:
        build(json.loads((ML / "plan.json").read_text()))
    except (Failed, OSError, subprocess.CalledProcessError) as error:
        (ML / "failure").write_text(str(error))
        sys.exit(1)


main()
