#!/usr/bin/env python3
"""The style rules a program can check. Prints each breach as file:line: what, and exits with 1 if there is one."""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_COLUMNS = 130
# Heavy or misused headers, and the only folders that may name them.
BANNED_INCLUDES = {
    "boost/beast": ("src/net/", "src/algorithms/common/"),
    "boost/asio": ("src/net/", "src/algorithms/common/"),
    "simdjson.h": ("src/base/",),
    "pugixml.hpp": ("src/base/",),
    "sqlite3.h": ("src/metadata_store/",),
    "openssl/": ("src/base/", "src/net/"),
    "xgboost/": ("src/algorithms/xgboost/",),
    "archive.h": ("src/executors/contract/", "src/executors/images/", "src/resources/", "src/inference/"),
    "regex>": (),
    "iostream>": (),
}
# Calls with a better way in this code base.
BANNED_CALLS = {
    r"\bsystem\(": "run a program through the executor or posix_spawn",
    r"\bgets\(|\bsprintf\(|\bstrcpy\(|\bstrcat\(": "use std::string or snprintf",
    r"\brand\(\)|\bsrand\(": "use base/random.h or a seeded engine",
    r"std::this_thread::sleep_for": "wait for an event with a deadline",
    r"\.detach\(\)": "threads are joined by their owner",
    r"std::regex\b": "use RE2",
}
# Pauses between bounded attempts to reach another process or host, which announces itself in no other way.
SLEEP_ALLOWED = re.compile(r"_test\.cc$|_bench\.cc$|/fake/|algorithms/common/collective\.cc$|xgboost/cluster\.cc$|"
                           r"process/process_executor\.cc$|net/http_server\.cc$|_fixture\.h$|script_mode/peer\.cc$|server/jobs_command\.cc$")
LEFTOVER = re.compile(r"\b(TODO|FIXME|XXX)\b")


def tracked(*patterns):
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns], cwd=ROOT,
                         capture_output=True, text=True, check=True).stdout
    return sorted({line for line in out.splitlines() if (ROOT / line).is_file()})


def read_modules():
    """project_module name -> (folder, direct DEPENDS), from every CMakeLists.txt below src/."""
    modules = {}
    for path in tracked("src/*CMakeLists.txt"):
        text = re.sub(r"#.*", "", (ROOT / path).read_text())
        for body in re.findall(r"project_module\(([^)]*)\)", text):
            words = body.split()
            depends, key = [], None
            for word in words[1:]:
                if word in ("SOURCES", "TESTS", "BENCHES", "FUZZERS", "DEPENDS", "LIBRARIES"):
                    key = word
                elif key == "DEPENDS":
                    depends.append(word)
            modules[words[0]] = (str(Path(path).parent.relative_to("src")), depends)
    return modules


def module_of(path, folders):
    folder = Path(path).parent
    while str(folder) not in (".", ""):
        if str(folder) in folders:
            return folders[str(folder)]
        folder = folder.parent
    return None


def check_include_edges(problems):
    modules = read_modules()
    folders = {folder: name for name, (folder, _) in modules.items()}

    def reachable(name):
        seen, queue = set(), [name]
        while queue:
            for dependency in modules.get(queue.pop(), ("", []))[1]:
                if dependency in modules and dependency not in seen:
                    seen.add(dependency)
                    queue.append(dependency)
        return seen

    allowed = {name: reachable(name) for name in modules}
    for path in tracked("src/*.cc", "src/*.h"):
        own = module_of(Path(path).relative_to("src"), folders)
        for number, line in enumerate((ROOT / path).read_text(errors="replace").splitlines(), 1):
            found = re.match(r'#include "([^"]+/[^"]+)"', line)
            if not found or own is None:
                continue
            other = module_of(found.group(1), folders)
            if other and other != own and other not in allowed[own]:
                problems.append(f"{path}:{number}: {own} includes {found.group(1)} but does not depend on {other}")


def check_lines(problems):
    for path in tracked("src/*.cc", "src/*.h"):
        for number, line in enumerate((ROOT / path).read_text(errors="replace").splitlines(), 1):
            where = f"{path}:{number}"
            if len(line) > MAX_COLUMNS and "http" not in line and '"' not in line:
                problems.append(f"{where}: longer than {MAX_COLUMNS} columns")
            if LEFTOVER.search(line):
                problems.append(f"{where}: a leftover note; refuse at run time or finish it")
            if line.startswith("#include"):
                for header, homes in BANNED_INCLUDES.items():
                    if re.match(rf"#include [<\"]{re.escape(header)}", line) and not path.endswith("_test.cc"):
                        if not any(path.startswith(home) for home in homes):
                            problems.append(f"{where}: {header} may be included in {', '.join(homes) or 'no file'} only")
            code = line.split("//")[0]
            for pattern, instead in BANNED_CALLS.items():
                if "regex" in pattern and path.endswith("_test.cc"):
                    continue
                if not re.search(pattern, code) or re.search(r'"[^"]*' + pattern, code):
                    continue
                if "sleep_for" not in pattern or not SLEEP_ALLOWED.search(path):
                    problems.append(f"{where}: {pattern} is banned: {instead}")


def check_headers(problems):
    for path in tracked("src/*.h"):
        if "#pragma once" not in (ROOT / path).read_text(errors="replace"):
            problems.append(f"{path}:1: no #pragma once")


def check_disabled_tests(problems):
    for path in tracked("src/*_test.cc"):
        for number, line in enumerate((ROOT / path).read_text(errors="replace").splitlines(), 1):
            if "DISABLED_" in line:
                problems.append(f"{path}:{number}: a disabled test; delete it or make it pass")


def check_sources_are_listed(problems):
    """A source file that no CMakeLists.txt names is dead."""
    lists = "\n".join((ROOT / path).read_text() for path in tracked("src/*CMakeLists.txt"))
    for path in tracked("src/*.cc"):
        if not re.search(rf"\b{re.escape(Path(path).name)}\b", lists):
            problems.append(f"{path}:1: no CMakeLists.txt names this file")


def check_docs(problems):
    for path in tracked("*.md"):
        text = (ROOT / path).read_text(errors="replace")
        outside_code = re.sub(r"```.*?```", "", text, flags=re.S)
        titles = re.findall(r"^# .+$", outside_code, flags=re.M)
        if len(titles) != 1:
            problems.append(f"{path}:1: {len(titles)} titles, one is right")
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", outside_code):
            if not target.startswith(("http://", "https://")) and not (ROOT / path).parent.joinpath(target).exists():
                problems.append(f"{path}:1: link to {target}, which does not exist")


def check_folder_table(problems):
    architecture = ROOT / "ARCHITECTURE.md"
    if not architecture.exists():
        problems.append("ARCHITECTURE.md:1: missing")
        return
    listed = set(re.findall(r"^\| `src/([a-z_]+)/`", architecture.read_text(), flags=re.M))
    present = {path.split("/")[1] for path in tracked("src/*") if path.count("/") > 1}
    for name in sorted(present - listed):
        problems.append(f"ARCHITECTURE.md:1: src/{name}/ is missing in the folder table")
    for name in sorted(listed - present):
        problems.append(f"ARCHITECTURE.md:1: src/{name}/ is in the folder table but not on disk")


def main():
    problems = []
    for check in (check_include_edges, check_lines, check_headers, check_disabled_tests, check_sources_are_listed, check_docs,
                  check_folder_table):
        check(problems)
    for problem in problems:
        print(problem)
    print(f"tidy: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
