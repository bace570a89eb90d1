"""URIs that would make the server call somebody: it calls nobody. The probe runs in a network namespace of its own in which
every address is local, and the kernel counts each connection that is begun and each datagram that is sent."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROBE = Path(__file__).with_name("server_side_requests.py")


@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="network namespaces of a test need root")
def test_no_uri_makes_the_server_call_anybody(tmp_path):
    done = subprocess.run(["unshare", "--net", sys.executable, str(PROBE), str(tmp_path)], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    report = json.loads(done.stdout.splitlines()[-1])
    print(report)
    assert report["counted_when_told_to"] == {"connections": 2, "datagrams": 1}, "the counters do not count"
    assert report["spellings"] >= 100 and report["places"] >= 15 and report["requests"] > 3000
    assert report["unexpected_connections"] == 0 and report["datagrams"] == 0, report
    assert report["failures"] == []
