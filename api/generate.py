#!/usr/bin/env python3
"""Writes api/models/<service>.json: the facts of botocore's service models, without any documentation text.

    python3 api/generate.py --botocore <site-packages>/botocore/data

Run by hand when a newer botocore is to be followed; the result is committed and api/tables.py turns it into C++ tables at
build time. One shape or operation per line, sorted, so that a diff shows what AWS changed.
"""
import argparse
import gzip
import json
import pathlib
import sys

SERVICES = ["sagemaker", "sagemaker-runtime", "logs", "cloudwatch", "iam", "sts", "s3", "ecr"]
# S3's handlers read headers, queries and XML themselves; only the names of its operations are wanted.
OPERATION_NAMES_ONLY = {"s3"}

METADATA = ["apiVersion", "awsQueryCompatible", "endpointPrefix", "jsonVersion", "protocol", "protocols", "serviceId",
            "signingName", "targetPrefix", "xmlNamespace"]
SHAPE = ["type", "required", "members", "member", "key", "value", "enum", "min", "max", "pattern", "box", "sensitive",
         "exception", "error", "fault", "union", "payload", "eventstream", "event", "document", "flattened",
         "locationName", "timestampFormat", "xmlNamespace"]
MEMBER = ["shape", "location", "locationName", "flattened", "timestampFormat", "idempotencyToken", "streaming", "box",
          "xmlAttribute", "xmlNamespace", "jsonvalue", "eventpayload"]
OPERATION = ["http", "input", "output", "errors", "authtype", "unsignedPayload", "requestcompression"]
PAGINATION = ["input_token", "output_token", "limit_key", "result_key", "more_results"]


def picked(source, names):
    return {name: source[name] for name in names if name in source}


def strip_shape(shape):
    facts = picked(shape, SHAPE)
    if "members" in facts:
        facts["members"] = {name: picked(member, MEMBER) for name, member in shape["members"].items()}
    for role in ("member", "key", "value"):
        if role in facts:
            facts[role] = picked(shape[role], MEMBER)
    return facts


def strip_operation(operation):
    facts = picked(operation, OPERATION)
    facts["http"] = picked(operation["http"], ["method", "requestUri", "responseCode"])
    if "input" in facts:
        facts["input"] = picked(operation["input"], ["shape", "locationName"])
    if "output" in facts:
        facts["output"] = picked(operation["output"], ["shape", "resultWrapper"])
    if "errors" in facts:
        facts["errors"] = [error["shape"] for error in operation["errors"]]
    return facts


def strip(service, model, paginators):
    facts = {"metadata": picked(model["metadata"], METADATA)}
    if service in OPERATION_NAMES_ONLY:
        facts["operations"] = {name: {"http": strip_operation(operation)["http"]}
                               for name, operation in model["operations"].items()}
        facts["shapes"] = {}
        facts["pagination"] = {}
        return facts
    facts["operations"] = {name: strip_operation(operation) for name, operation in model["operations"].items()}
    facts["shapes"] = {name: strip_shape(shape) for name, shape in model["shapes"].items()}
    facts["pagination"] = {name: picked(rule, PAGINATION) for name, rule in paginators.items()}
    return facts


def render(facts):
    """JSON with one entry of each section per line."""
    sections = ['"metadata": ' + json.dumps(facts["metadata"], sort_keys=True)]
    for section in ("operations", "shapes", "pagination"):
        # Members keep their order: error lists and documents follow it.
        rows = [f"{json.dumps(name)}:{json.dumps(entry, separators=(',', ':'))}"
                for name, entry in sorted(facts[section].items())]
        sections.append(f'"{section}": {{\n' + ",\n".join(rows) + "\n}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


def load(folder, name):
    path = folder / name
    if path.exists():
        return json.loads(path.read_text())
    packed = folder / (name + ".gz")
    return json.loads(gzip.decompress(packed.read_bytes())) if packed.exists() else None


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--botocore", type=pathlib.Path, required=True, help="botocore's data folder")
    arguments.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "models")
    options = arguments.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for service in SERVICES:
        newest = max(path for path in (options.botocore / service).iterdir() if path.is_dir())
        model = load(newest, "service-2.json")
        if model is None:
            sys.exit(f"{newest}: no service-2.json")
        paginators = (load(newest, "paginators-1.json") or {}).get("pagination", {})
        (options.out / f"{service}.json").write_text(render(strip(service, model, paginators)))
        print(f"{service}: {len(model['operations'])} operations, {len(model['shapes'])} shapes")


if __name__ == "__main__":
    main()
