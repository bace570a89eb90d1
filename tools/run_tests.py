#!/usr/bin/env python3
"""Runs every test and closes with one line: N passed, N failed.

usage: run_tests.py [--unit | --conformance] [pytest arguments]

Unit tests are the *_tests binaries of build/release/bin (or MILLWRIGHT_BIN), a tidy check is one test, conformance tests
are pytest suites that start the real server. Only the standard library is used here.
"""
import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(os.environ.get("MILLWRIGHT_BIN", ROOT / "build/release/bin"))
RESULTS = ROOT / "build/test-results"
# Bound on one suite. The longest, that of containers, takes some ten minutes.
SUITE_SECONDS = 2400


class Totals:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []

    def add(self, suite, passed, failed, skipped, seconds, failures=()):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped
        self.failures += [f"{suite}: {name}" for name in failures]
        note = f", {skipped} skipped" if skipped else ""
        print(f"   {suite}: {passed} passed, {failed} failed{note} in {seconds:.1f} s", flush=True)


def run_tidy(totals):
    start = time.time()
    result = subprocess.run([sys.executable, ROOT / "tools/tidy.py"], capture_output=True, text=True)
    if result.returncode:
        print(result.stdout + result.stderr)
    bad = int(result.returncode != 0)
    totals.add("tidy", 1 - bad, bad, 0, time.time() - start, ["tidy"] * bad)


def run_unit_binary(binary):
    """One GoogleTest binary -> (name, passed, failed, skipped, seconds, failing tests, output)."""
    report = RESULTS / f"{binary.name}.json"
    report.unlink(missing_ok=True)
    start = time.time()
    try:
        result = subprocess.run([binary, f"--gtest_output=json:{report}", "--gtest_brief=1"], capture_output=True,
                                text=True, errors="replace", timeout=SUITE_SECONDS, cwd=ROOT,
                                # Idle OpenMP threads that spin slow everything down on a small machine.
                                env={**os.environ, "OMP_WAIT_POLICY": "passive"})
        output, code = result.stdout + result.stderr, result.returncode
    except subprocess.TimeoutExpired as expired:
        output, code = f"{expired}", -1
    seconds = time.time() - start
    if not report.exists():
        return binary.name, 0, 1, 0, seconds, [f"the binary ended with {code}"], output
    tests = [test for suite in json.loads(report.read_text())["testsuites"] for test in suite["testsuite"]]
    failing = [f"{t['classname']}.{t['name']}" for t in tests if t.get("failures")]
    skipped = sum(t.get("result") == "SKIPPED" for t in tests)
    if code != 0 and not failing:
        failing = [f"the binary ended with {code}"]
    passed = len(tests) - len(failing) - skipped
    return binary.name, max(passed, 0), len(failing), skipped, seconds, failing, output


def run_script(totals, script):
    """A unittest file of its own, such as the golden check of the table generator."""
    start = time.time()
    result = subprocess.run([sys.executable, ROOT / script], capture_output=True, text=True, timeout=SUITE_SECONDS, cwd=ROOT)
    ran = re.search(r"^Ran (\d+) test", result.stderr, flags=re.M)
    count = int(ran.group(1)) if ran else 0
    failed = int(result.returncode != 0 or count == 0)
    if failed:
        print(result.stdout + result.stderr)
    totals.add(script, max(count - failed, 0), failed, 0, time.time() - start, [script] * failed)


def run_smokes(totals):
    """Each fuzz target over its seeds and the same changes of them every time."""
    start, failing = time.time(), []
    smokes = sorted(BIN.glob("*_smoke"))
    for smoke in smokes:
        try:
            result = subprocess.run([smoke], capture_output=True, text=True, errors="replace", timeout=120, cwd=ROOT)
            output, code = result.stdout + result.stderr, result.returncode
        except subprocess.TimeoutExpired as expired:
            output, code = f"{expired}", -1
        if code != 0:
            failing.append(smoke.name)
            print(output[-4000:])
    totals.add("fuzz smokes", len(smokes) - len(failing), len(failing) + (not smokes), 0, time.time() - start, failing)


def run_units(totals):
    print("\n== Unit tests", flush=True)
    binaries = sorted(BIN.glob("*_tests"))
    run_smokes(totals)
    if not binaries:
        totals.add("unit tests", 0, 1, 0, 0, ["no test binary was built"])
    # One at a time: several of them measure time or own the whole machine's namespaces.
    with ThreadPoolExecutor(max_workers=1) as pool:
        for name, passed, failed, skipped, seconds, failing, output in pool.map(run_unit_binary, binaries):
            totals.add(name, passed, failed, skipped, seconds, failing)
            if failed:
                print(output[-8000:])


def run_pytest(totals, suite, python, paths, extra, capture=False):
    """Prints as it goes, or with `capture` in one piece at the end."""
    report = RESULTS / f"{suite}.xml"
    report.unlink(missing_ok=True)
    start = time.time()
    command = [python, "-m", "pytest", "-q", "-x" if os.environ.get("MILLWRIGHT_STOP_EARLY") else "-ra",
               "--no-header", "-p", "no:cacheprovider", f"--junitxml={report}", *extra, *paths]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} if capture else {}
    try:
        done = subprocess.run(command, cwd=ROOT, timeout=SUITE_SECONDS, text=True, errors="replace", **pipes)
        print(done.stdout or "", end="")
    except subprocess.TimeoutExpired as expired:
        print(expired.stdout.decode(errors="replace") if expired.stdout else "", end="")
        print(f"{suite} took longer than {SUITE_SECONDS} s")
    seconds = time.time() - start
    if not report.exists():
        totals.add(suite, 0, 1, 0, seconds, ["pytest wrote no report"])
        return
    root = ElementTree.parse(report).getroot()
    passed = failed = skipped = 0
    failing = []
    for case in root.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
            failing.append(f"{case.get('classname')}.{case.get('name')}")
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    if passed + failed == 0:
        failed, failing = 1, ["no test was executed"]
    totals.add(suite, passed, failed, skipped, seconds, failing)


def run_beside(totals, suites, extra):
    """(name, python, arguments of pytest) of suites that mostly wait and do not disturb each other, at the same time."""
    with ThreadPoolExecutor(max_workers=len(suites)) as pool:
        list(pool.map(lambda suite: run_pytest(totals, *suite, extra, capture=True), suites))


def run_conformance(totals, extra):
    v2 = ROOT / "build/python/v2/bin/python"
    v1 = ROOT / "build/python/v1/bin/python"
    print("\n== Real clients against the real server: boto3, AWS CLI, SageMaker SDK v2 and v1.72.1; and images of users and of "
          "ours, with Docker, with Podman and without an engine (some ten minutes without a word)", flush=True)
    # Only one suite may have engines: they make the rules of the machine's network.
    run_beside(totals, [("conformance", v2, ["tests/conformance", "--ignore=tests/conformance/v1", "--ignore=tests/conformance/v3"]),
                        ("containers", v2, ["tests/containers"])], extra)
    run_pytest(totals, "conformance-v1", v1, ["tests/conformance/v1"], extra)
    if os.environ.get("MILLWRIGHT_FRAMEWORK_TESTS"):
        print("\n== Frameworks: scripts of PyTorch, TensorFlow, MXNet, Chainer, scikit-learn and XGBoost", flush=True)
        run_pytest(totals, "frameworks", v2, ["tests/frameworks"], ["--ignore=tests/frameworks/v1", *extra])
        run_pytest(totals, "frameworks-v1", v1, ["tests/frameworks/v1"], extra)
        print("\n== SageMaker SDK v3", flush=True)
        run_pytest(totals, "conformance-v3", ROOT / "build/python/v3/bin/python", ["tests/conformance/v3"], extra)
    print("\n== Faults: kill -9 while jobs run and objects are put", flush=True)
    run_pytest(totals, "faults", v2, ["tests/faults"], extra)


def main(arguments):
    RESULTS.mkdir(parents=True, exist_ok=True)
    totals = Totals()
    if "--conformance" not in arguments:
        run_tidy(totals)
        run_script(totals, "api/tables_test.py")
        run_script(totals, "src/programs/runner/runner_test.py")
        run_script(totals, "python/toolkit_test.py")
        run_script(totals, "python/serving_test.py")
        run_units(totals)
    if "--unit" not in arguments:
        run_conformance(totals, [a for a in arguments if a != "--conformance"])
    for name in totals.failures:
        print(f"FAILED {name}")
    note = f", {totals.skipped} skipped" if totals.skipped else ""
    print(f"\n{totals.passed} passed, {totals.failed} failed{note}")
    return 1 if totals.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
