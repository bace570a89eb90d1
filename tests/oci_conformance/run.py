#!/usr/bin/env python3
"""Runs the conformance suite of the OCI distribution specification against a server of ours.

    tests/oci_conformance/run.py SUITE [NAME=VALUE…]

SUITE is the program that its Go sources build, which lie elsewhere; NAME=VALUE are settings of it. Everything of version 1.1 is
asked for, what is optional included. MILLWRIGHT_BIN says where our programs are. A test that fails, or is skipped because the
registry does not do something, is a failure of this program. Nothing of the suite is kept here.
"""
import argparse
import collections
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "conformance"))
from server import Server  # noqa: E402

OPTIONAL = {"OCI_API_BLOBS_DIGEST_HEADER": "true", "OCI_API_BLOBS_UPLOAD_CANCEL": "true", "OCI_API_MANIFESTS_DIGEST_HEADER": "true"}
# Of the names of tests, the first that fits.
CATEGORIES = [("management", ("delete", "cancel")), ("discovery", ("tag-list", "tag list", "referrers")),
              ("pull", ("pull", "head", "get", "range", "missing")), ("push", ("",))]


def category_of(name):
    parts = name.lower().split("/")[1:]
    return next(category for category, words in CATEGORIES if any(word in part for word in words for part in parts))


def run(suite, settings, folder):
    server = Server(folder / "data").start()
    try:
        known = server.credentials
        environment = {**os.environ, "OCI_VERSION": "1.1", "OCI_REGISTRY": f"127.0.0.1:{server.port}", "OCI_TLS": "disabled",
                       "OCI_USERNAME": known["AccessKeyId"], "OCI_PASSWORD": known["SecretAccessKey"],
                       "OCI_RESULTS_DIR": str(folder / "results"), **OPTIONAL, **settings}
        done = subprocess.run([suite], env=environment, cwd=folder, capture_output=True, text=True, timeout=600)
    finally:
        server.end_everything()
    return done


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("suite", type=Path)
    options.add_argument("settings", nargs="*")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="millwright-oci-") as name:
        folder = Path(name)
        done = run(chosen.suite.resolve(), dict(setting.split("=", 1) for setting in chosen.settings), folder)
        report = folder / "results/junit.xml"
        if not report.exists():
            raise SystemExit(f"the suite wrote no report: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        cases = [(case.get("name"), case.get("status")) for case in xml.etree.ElementTree.parse(report).iter("testcase")]
    counts = collections.defaultdict(collections.Counter)
    for name, status in cases:
        counts[category_of(name)][status] += 1
    print("| Category | Passed | Others |\n|---|---|---|")
    for category, found in sorted(counts.items()):
        others = ", ".join(f"{number} {status}" for status, number in sorted(found.items()) if status != "passed")
        print(f"| {category} | {found['passed']} | {others or 'none'} |")
    bad = [f"{name}: {status}" for name, status in cases if status not in ("passed", "disabled")]
    print("\n".join(bad))
    sys.exit(1 if bad or done.returncode or not cases else 0)


if __name__ == "__main__":
    main()
