#!/usr/bin/env python3
"""Runs ceph/s3-tests (a checkout of it lies elsewhere) against a server of ours and compares with passing.txt.

    tests/s3_tests/run.py CHECKOUT [--python PYTHON] [--only REGEX] [--result FILE] [--update] [--document]
    tests/s3_tests/run.py --from FILE [--update] [--document]

PYTHON has what the suite's requirements.txt names. MILLWRIGHT_BIN says where the programs are. A test in passing.txt that
no longer passes is a failure of this program; --update adds the new ones. --document writes the table of
docs/reference/s3.md. Only names of tests are kept here, nothing else of the suite.
"""
import argparse
import collections
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))
from server import BIN, ROOT, Server  # noqa: E402

FILES = ["test_s3.py", "test_headers.py"]
PASSING = HERE / "passing.txt"
DOCUMENT = ROOT / "docs/reference/s3.md"
# Markers of tests that are not run, and why.
LEFT_OUT = {
    "fails_on_aws": "asks for what AWS does not do either (marked so by the suite)",
    "cloud_transition": "needs a second store to move objects to",
    "cloud_restore": "needs a second store to move objects to",
}
# What a test is about: the first that fits its name or its markers. With why tests of the group fail.
GROUPS = [
    ("object lock, retention, legal hold", r"object_lock|legal_hold|retention", "refused with NotImplemented"),
    ("encryption with a customer's key (SSE-C)", r"sse[-_]c|sse_customer|encryption_sse_c|encrypted_transfer|encryption_key_no",
     "refused with NotImplemented: nothing is encrypted here"),
    ("encryption labels (SSE-S3, SSE-KMS)", r"sse|encryption|encrypted|kms|_enc_", "tests of KMS itself, or of both kinds at once"),
    ("server access logging", r"logging", "refused with NotImplemented"),
    ("websites and redirects", r"website|redirect_location", "refused with NotImplemented"),
    ("lifecycle", r"lifecycle|_lc_|expiration", "transitions are refused; days are days, where the suite expects ten seconds"),
    ("storage classes moved by the store", r"storage_class|transition|restore|read_through", "refused with NotImplemented"),
    ("access control lists", r"acl|grant|ownership|access_bucket|canned",
     "making one's own bucket again is fine in us-east-1; lists in a request need s3:PutObjectAcl"),
    ("bucket policies and public access", r"policy|public|anon|object_raw",
     "Ceph's tenants; tags need s3:PutObjectTagging; bad lifetimes of URLs are 400, as on AWS"),
    ("versions", r"version|delete_marker", ""),
    ("tags", r"tag", ""),
    ("CORS", r"cors", "they sign in the Authorization header of version 2"),
    ("forms", r"post_object", ""),
    ("conditional requests", r"if_match|ifmatch|if_none|ifnone|ifmodified|unmodified|conditional|precondition", ""),
    ("checksums and attributes", r"checksum|cksum|attributes", "a malformed checksum is InvalidRequest, as on AWS"),
    ("multipart uploads", r"multipart|upload_part",
     "a part number beyond the last is 416, as on AWS; initiators are accounts; one too slow for the machine of the run"),
    ("listings", r"list", "the client does not decode Prefix; buckets of other tests in the list"),
    ("signatures of version 2", r"aws2", "the Authorization header of version 2 is refused; presigned URLs and forms of it work"),
    ("headers and signatures", r"header|presign|auth", "headers the client of today sets itself, and an Expect that is refused"),
    ("other", r"", "torrents; metadata that is not ASCII; keys that are not UTF-8 to the suite; chunked bodies signed whole"),
]


def clients_of(server):
    """Root keys of the accounts the suite speaks as: {name: (access key id, secret, account)}."""
    root = server.credentials
    users = {"main": (root["AccessKeyId"], root["SecretAccessKey"], root["AccountId"])}
    for name in ("alt", "tenant"):
        made = json.loads(subprocess.run([BIN / "millwright", "accounts", "create", name, "--json", "--data-dir", server.folder],
                                         check=True, capture_output=True, text=True, timeout=60).stdout)
        users[name] = (made["AccessKeyId"], made["SecretAccessKey"], made["AccountId"])
    return users


def write_configuration(path, server, users):
    def section(title, user, more=""):
        key, secret, account = users[user]
        owner = hashlib.sha256(f"millwright:{account}".encode()).hexdigest()
        return (f"[{title}]\ndisplay_name = {account}\nuser_id = {owner}\nemail = {user}@example.com\n"
                f"access_key = {key}\nsecret_key = {secret}\n{more}\n")

    text = f"[DEFAULT]\nhost = localhost\nport = {server.port}\nis_secure = False\nssl_verify = False\n"
    text += "[fixtures]\nbucket prefix = mw-{random}-\n"
    text += section("s3 main", "main", "api_name = \nkms_keyid = key-1\nkms_keyid2 = key-2\n")
    text += section("s3 alt", "alt") + section("s3 tenant", "tenant", "tenant = other\n")
    text += section("iam", "main") + section("iam root", "main") + section("iam alt root", "alt")
    path.write_text(text)


def run_suite(options, folder, server):
    """Two processes, each with every second test; returns {test: {"outcome", "why", "markers"}}."""
    configuration = folder / "s3tests.conf"
    write_configuration(configuration, server, clients_of(server))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3TEST"))}
    files = [str(options.checkout / "s3tests/functional" / name) for name in FILES]
    running, results = [], []
    for share in range(options.processes):
        results.append(folder / f"result-{share}.json")
        environment = {**clean, "S3TEST_CONF": str(configuration), "S3_TESTS_RESULT": str(results[-1]),
                       "S3_TESTS_SHARE": f"{share}/{options.processes}", "S3_TESTS_SECONDS": str(options.seconds),
                       "S3_TESTS_LEFT_OUT": json.dumps(list(LEFT_OUT)), "S3_TESTS_ONLY": options.only,
                       "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "PYTHONPATH": str(HERE)}
        log = open(folder / f"log-{share}.txt", "w")
        running.append(subprocess.Popen(
            [options.python, "-m", "pytest", "-q", "-p", "watch", "-p", "no:cacheprovider", "--tb=short", *files],
            cwd=options.checkout, env=environment, stdout=log, stderr=subprocess.STDOUT))
    outcomes = {}
    for process, result in zip(running, results):
        try:
            process.wait(options.limit)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
        if not result.exists():
            raise SystemExit(f"the suite did not run: {(folder / 'log-0.txt').read_text()[-3000:]}")
        outcomes.update(json.loads(result.read_text()))
    return outcomes


def group_of(name, about):
    for group, pattern, _ in GROUPS:
        if re.search(pattern, name) or any(re.search(pattern, marker) for marker in about["markers"]):
            return group
    raise AssertionError("the last group takes all")


def counts(outcomes):
    """[(group, counter of outcomes)]"""
    table = collections.defaultdict(collections.Counter)
    for name, about in outcomes.items():
        table[group_of(name, about)][about["outcome"]] += 1
    return [(group, table[group]) for group, _, _ in GROUPS if group in table]


def write_document(outcomes):
    """The table between the two comments of the reference page."""
    reasons = {group: why for group, _, why in GROUPS}
    total = collections.Counter(about["outcome"] for about in outcomes.values())
    lines = ["`tests/s3_tests/run.py` runs the suite (" + ", ".join(f"`{name}`" for name in FILES) + ") against a server with "
             "`s3.open_buckets`,", "and writes this table. Left out are the tests the suite itself marks `fails_on_aws`, and those "
             "that need a second store.", "What passed once is kept in `tests/s3_tests/passing.txt` and must go on passing.", "",
             "| Group | Passed | Failed | Left out | Why tests fail |", "|---|---:|---:|---:|---|"]
    for group, count in counts(outcomes):
        failed = count["failed"] + count["skipped"]
        lines.append(f"| {group} | {count['passed']} | {failed} | {count['left out']} | {reasons[group] if failed else ''} |")
    lines.append(f"| **all** | **{total['passed']}** | **{total['failed'] + total['skipped']}** | **{total['left out']}** | |")
    lines += ["", "Failed, by name:", ""]
    for group, _ in counts(outcomes):
        names = sorted(name.split("::")[1] for name, about in outcomes.items()
                       if about["outcome"] in ("failed", "skipped") and group_of(name, about) == group)
        bare = sorted({name.split("[")[0].removeprefix("test_") for name in names})
        if bare:
            lines.append(f"- {group}: " + ", ".join(bare))
    text = DOCUMENT.read_text()
    begin, end = "<!-- s3-tests begin -->\n", "<!-- s3-tests end -->"
    head, rest = text.split(begin)
    DOCUMENT.write_text(head + begin + "\n".join(lines) + "\n" + end + rest.split(end)[1])


def compare(outcomes, update):
    """Names that passed once and do not any more."""
    known = PASSING.read_text().split() if PASSING.exists() else []
    passed = {name for name, about in outcomes.items() if about["outcome"] == "passed"}
    if update:
        PASSING.write_text("".join(name + "\n" for name in sorted(passed | set(known))))
    return [name for name in known if name in outcomes and name not in passed], sorted(passed - set(known))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, nargs="?")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--only", default="", help="regular expression; tests whose file::name has it")
    parser.add_argument("--result", type=Path, help="where the outcomes go as JSON")
    parser.add_argument("--from", dest="earlier", type=Path, help="the result of an earlier run instead of a run")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=120, help="for one test")
    parser.add_argument("--limit", type=int, default=3000, help="seconds for everything")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--document", action="store_true")
    options = parser.parse_args()
    if options.earlier:
        outcomes = json.loads(options.earlier.read_text())
    else:
        options.checkout = options.checkout.resolve()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            server = Server(folder / "data", config="[s3]\nopen_buckets = true\nlifecycle_day_seconds = 10\n").start()
            try:
                outcomes = run_suite(options, folder, server)
            finally:
                server.end_everything()
    if options.result:
        options.result.write_text(json.dumps(outcomes, indent=1, sort_keys=True))
    if options.document:
        write_document(outcomes)
    total = collections.Counter(about["outcome"] for about in outcomes.values())
    print(f"{'group':50} passed failed skipped left out")
    for group, count in counts(outcomes):
        print(f"{group:50} {count['passed']:6} {count['failed']:6} {count['skipped']:7} {count['left out']:8}")
    print(f"{'all':50} {total['passed']:6} {total['failed']:6} {total['skipped']:7} {total['left out']:8}")
    lost, new = compare(outcomes, options.update)
    print(f"{len(new)} new ones pass" + ("" if options.update else "; --update keeps them"))
    for test in lost:
        print(f"LOST {test}: {outcomes[test]['why']}")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
