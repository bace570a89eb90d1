"""botocore's protocol cases through our decoders and encoders; see protocol_cases.py."""
import json
import re
from collections import Counter

import pytest
from botocore_source import botocore_source
from protocol_cases import all_cases, run_program
from server import ROOT

# Cases that say nothing about a server, with the reason. A pattern must match something, so that the list cannot rot.
NOT_APPLICABLE = [
    (r"AutoFill$", "what the client fills in, not what it was given"),
    (r"StructuresDontSerializeNullValues$", "the client drops what it was given"),
    (r"^query-input-QueryEmptyQueryMaps$", "the client sends nothing for an empty map"),
    (r"SDKAppliedContentEncoding|SDKAppendsGzip", "the case holds no body; test_a_compressed_request does it for real"),
    (r"^query-(input-QueryFlattenedListArgWithXmlName|output-QueryXmlLists)$",
     "botocore's own clients contradict the case; no service of ours has such a list"),
]


def reason_against(case):
    return next((reason for pattern, reason in NOT_APPLICABLE if re.search(pattern, case.id)), None)


@pytest.fixture(scope="module")
def outcomes():
    """(case, what the program answered) of every case."""
    cases = [case for case in all_cases() if not case.file.startswith("rest-")]
    return list(zip(cases, run_program(cases), strict=True))


def difference(case, answer):
    """Nothing, or what is wrong."""
    if case.kind == "input":
        wanted, got = case.expected() or {}, answer.get("document", answer)
    else:
        wanted, got = case.wanted(), case.parsed(answer)
    return None if got == wanted else f"{case.id}\n  wanted {json.dumps(wanted)}\n  got    {json.dumps(got)}\n  of     {answer}"


def test_protocol_cases(outcomes):
    counts, failures = Counter(), []
    for case, answer in outcomes:
        if reason_against(case):
            counts[case.file, case.kind, "not applicable"] += 1
            continue
        wrong = difference(case, answer)
        counts[case.file, case.kind, "failed" if wrong else "passed"] += 1
        failures += [wrong] if wrong else []
    for key in sorted(counts):
        print(*key, counts[key])
    print(f"{len(outcomes)} cases:", dict(Counter(verdict for (_, _, verdict), n in counts.items() for _ in range(n))))
    assert len(outcomes) > 240 and not failures, "\n".join(failures)


def test_every_reason_is_still_needed(outcomes):
    for pattern, reason in NOT_APPLICABLE:
        assert any(re.search(pattern, case.id) for case, _ in outcomes), f"{pattern}: {reason}"


def test_no_service_has_a_flattened_list_with_two_names():
    for path in (ROOT / "api/models").glob("*.json"):
        model = json.loads(path.read_text())
        for name, shape in model["shapes"].items():
            if model["metadata"]["protocol"] == "query" and shape["type"] == "list":
                assert not (shape.get("flattened") and "locationName" in shape["member"]), (path.name, name)


def test_a_compressed_request_is_understood(server):
    """PutMetricData beyond 10 KiB: boto3 compresses it."""
    import datetime
    client = server.client("cloudwatch")
    sent = []
    client.meta.events.register("before-send", lambda request, **_: sent.append(request.headers.get("Content-Encoding")))
    now = datetime.datetime.now(datetime.timezone.utc)
    data = [{"MetricName": f"compressed-{number}", "Timestamp": now, "Value": float(number),
             "Dimensions": [{"Name": "a-long-name-of-a-dimension", "Value": "v" * 100}]} for number in range(100)]
    client.put_metric_data(Namespace="Compressed", MetricData=data)
    assert sent == [b"gzip"] or sent == ["gzip"], sent
    listed = client.get_paginator("list_metrics").paginate(Namespace="Compressed").build_full_result()["Metrics"]
    assert len(listed) == 100
