"""botocore's machine-readable protocol cases, mirrored: what its clients send goes through our decoders, what our encoders
answer goes through its parsers. docs/internals/conformance.md says how."""
import base64
import copy
import importlib.util
import json
import subprocess
from pathlib import Path

import botocore.model
import botocore.parsers
import botocore.utils
from botocore_source import botocore_source
from requests.structures import CaseInsensitiveDict
from server import BIN, ROOT

# File -> the suites of one protocol. ec2 and rpc-v2-cbor are protocols that Millwright does not speak.
FILES = ["json", "json_1_0", "json_1_0-query-compatible", "query", "rest-json", "rest-xml"]


def load_tables():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "api/tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLES = load_tables()


class Case:
    """One case: its suite's model with one operation, what goes into the program, and what must come out."""

    def __init__(self, kind, file, suite, case):
        self.kind, self.file, self.case = kind, file, case
        self.id = f"{file}-{kind}-{case['id']}"
        self.description = {name: suite[name] for name in ("metadata", "shapes")}
        self.operation = case["given"]["name"]
        self.given = case["given"]
        if suite["metadata"]["protocol"] == "query" and "output" in self.given:
            # The suites leave out what every model of a query service has.
            self.given = copy.deepcopy(self.given)
            self.given["output"]["resultWrapper"] = self.operation + "Result"
        self.model = botocore.model.ServiceModel({**self.description, "operations": {self.operation: self.given}})
        self.operation_model = self.model.operation_model(self.operation)

    @property
    def protocol(self):
        return self.description["metadata"]["protocol"]

    def tables(self):
        metadata = {"apiVersion": "", "endpointPrefix": "", "serviceId": "", **self.description["metadata"]}
        if isinstance(metadata.get("xmlNamespace"), dict):
            metadata["xmlNamespace"] = metadata["xmlNamespace"]["uri"]
        operation = copy.deepcopy(self.given)
        operation["errors"] = [error["shape"] for error in operation.get("errors", [])]
        shapes = copy.deepcopy(self.description["shapes"])
        model = {"metadata": metadata, "operations": {self.operation: operation}, "shapes": shapes, "pagination": {}}
        return TABLES.Tables(model).as_document("cases")

    def question(self):
        case = self.case
        if self.kind == "input":
            sent = case["serialized"]
            return {"operation": self.operation, "request": {"method": sent.get("method", "POST"), "uri": sent.get("uri", "/"),
                                                             "headers": sent.get("headers", {}), "body": sent.get("body", "")}}
        if "error" in case:
            shape = self.error_shape()
            members = {name: value for name, value in case["error"].items() if name.lower() != "message"}
            code = shape.name if shape is not None and self.protocol != "query" else case["errorCode"]
            error = {"code": code, "message": case.get("errorMessage", ""), "status": case["response"]["status_code"],
                     "members": document_of(members, shape) if shape is not None else members}
            if "awsQueryCompatible" in self.description["metadata"] and shape is not None:
                error["query_code"] = case["errorCode"]
            return {"operation": self.operation, "error": error}
        return {"operation": self.operation, "document": document_of(case["result"], self.operation_model.output_shape)}

    def error_shape(self):
        for error in self.operation_model.error_shapes:
            if self.case["errorCode"] in (error.name, error.metadata.get("error", {}).get("code")):
                return error
        return None

    def expected(self):
        """What the program must answer to a request: the parameters as a document."""
        return document_of(self.case["params"], self.operation_model.input_shape)

    def parsed(self, answer):
        """Our answer as botocore's parser reads it."""
        response = {"status_code": answer["status"], "headers": CaseInsensitiveDict(answer["headers"]),
                    "body": answer["body"].encode(), "context": {"operation_name": self.operation}}
        parser = botocore.parsers.create_parser(self.protocol)
        parser._timestamp_parser = lambda value: botocore.utils.parse_timestamp(value).timestamp()
        result = parser.parse(response, self.operation_model.output_shape)
        if "error" in self.case:
            shape = self.error_shape()
            if shape is not None:
                result.update(parser.parse(response, shape))
            result["Error"] = {name: result["Error"].get(name) or "" for name in ("Code", "Message")}
        result.pop("ResponseMetadata", None)
        return plain(result)

    def wanted(self):
        if "error" not in self.case:
            return self.case["result"]
        return {"Error": {"Code": self.case.get("errorCode", ""), "Message": self.case.get("errorMessage", "")},
                **self.case["error"]}


def document_of(value, shape):
    """Parameters or results of the suite as the document a handler sees: blobs are base64 text."""
    if shape is None or value is None:
        return value
    if shape.type_name == "structure" and isinstance(value, dict) and not shape.metadata.get("document"):
        return {name: document_of(inner, shape.members[name]) for name, inner in value.items() if name in shape.members}
    if shape.type_name == "list":
        return [document_of(item, shape.member) for item in value]
    if shape.type_name == "map":
        return {name: document_of(item, shape.value) for name, item in value.items()}
    if shape.type_name == "blob":
        return base64.b64encode(value.encode()).decode()
    return value


def plain(value):
    """Bytes as text, and the numbers JSON has no form for as the suites write them."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    return value


def all_cases():
    folder = botocore_source() / "tests/unit/protocols"
    return [Case(kind, file, suite, case) for kind in ("input", "output") for file in FILES
            for suite in json.loads((folder / kind / f"{file}.json").read_text()) for case in suite["cases"]]


def run_program(cases):
    question = {"suites": [{"tables": case.tables(), "cases": [case.question()]} for case in cases]}
    done = subprocess.run([BIN / "protocol_cases"], input=json.dumps(question), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["results"]
