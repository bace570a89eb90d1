#!/usr/bin/env python3
"""Turns one service model into C++ tables (see src/aws/model.h for their meaning).

    python3 api/tables.py api/models/logs.json [--overlay api/overlays/logs.json] --out logs_tables.cc

Run by the build. Tests load tables of models of their own at run time; for them as_document() gives the same rows as JSON. An overlay holds our corrections: it is merged into the model, objects member by member, anything else
replaced; null removes.
"""
import argparse
import json
import pathlib

NONE = 0xFFFFFFFF
TYPES = {"string": "String", "character": "String", "integer": "Integer", "long": "Long", "float": "Float",
         "double": "Double", "boolean": "Boolean", "blob": "Blob", "timestamp": "Timestamp", "list": "List",
         "map": "Map", "structure": "Structure"}
FORMATS = {None: "Default", "unixTimestamp": "EpochSeconds", "iso8601": "Iso8601", "rfc822": "Rfc822"}
LOCATIONS = {None: "Body", "header": "Header", "headers": "HeaderPrefix", "uri": "Uri", "querystring": "Query",
             "statusCode": "StatusCode"}
MEMBER_FLAGS = [("flattened", 2), ("idempotencyToken", 4), ("streaming", 8), ("xmlAttribute", 16)]
SHAPE_FLAGS = [("sensitive", 1), ("exception", 2), ("union", 4), ("flattened", 8), ("box", 16), ("document", 32)]
# In the order of the enumerations in src/aws/model.h.
ENUMERATORS = {"ShapeType": ["String", "Integer", "Long", "Float", "Double", "Boolean", "Blob", "Timestamp", "List", "Map",
                             "Structure"],
               "TimestampFormat": ["Default", "EpochSeconds", "Iso8601", "Rfc822"],
               "Location": ["Body", "Header", "HeaderPrefix", "Uri", "Query", "StatusCode"]}


def merge(model, overlay):
    for name, value in overlay.items():
        if value is None:
            model.pop(name, None)
        elif isinstance(value, dict) and isinstance(model.get(name), dict):
            merge(model[name], value)
        else:
            model[name] = value
    return model


class Pool:
    """Zero-terminated strings in one block; equal strings are kept once."""

    def __init__(self):
        self.offsets = {}
        self.size = 0

    def add(self, text):
        if text is None:
            return NONE
        if text not in self.offsets:
            self.offsets[text] = self.size
            self.size += len(text.encode()) + 1
        return self.offsets[text]

    def literal(self):
        lines = []
        for text in self.offsets:
            escaped = "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}"
                              for byte in text.encode())
            lines.append(f'    "{escaped}\\000"')
        return "\n".join(lines) or '    ""'


def flags_of(entry, table):
    return sum(bit for name, bit in table if entry.get(name))


class Tables:
    def __init__(self, model):
        self.model = model
        self.pool = Pool()
        self.shape_rows, self.member_rows, self.enum_rows = [], [], []
        self.limit_rows, self.error_rows = [], []
        self.operation_rows, self.operation_errors, self.pagination_rows = [], [], []
        self.shape_numbers = {name: number for number, name in enumerate(sorted(model["shapes"]))}
        for name in sorted(model["shapes"]):
            self.add_shape(name, model["shapes"][name])
        for name in sorted(model["operations"]):
            self.add_operation(name, model["operations"][name])

    def add_member(self, name, member, required=False):
        self.member_rows.append((
            self.pool.add(name), self.pool.add(member.get("locationName")), self.shape_numbers[member["shape"]],
            flags_of(member, MEMBER_FLAGS) | (1 if required else 0),
            f"Location::{LOCATIONS[member.get('location')]}",
            f"TimestampFormat::{FORMATS[member.get('timestampFormat')]}", 0))

    def add_shape(self, name, shape):
        kind = shape["type"]
        first, count = NONE, 0
        if kind == "structure":
            first, count = len(self.member_rows), len(shape["members"])
            for member_name, member in shape["members"].items():
                self.add_member(member_name, member, member_name in shape.get("required", []))
        elif kind == "list":
            first = len(self.member_rows)
            self.add_member("", shape["member"])
        elif kind == "map":
            first = len(self.member_rows)
            self.add_member("", shape["key"])
            self.add_member("", shape["value"])
        elif "enum" in shape:
            first, count = len(self.enum_rows), len(shape["enum"])
            self.enum_rows += [self.pool.add(value) for value in shape["enum"]]
        self.shape_rows.append((
            self.pool.add(name), f"ShapeType::{TYPES[kind]}", flags_of(shape, SHAPE_FLAGS),
            f"TimestampFormat::{FORMATS[shape.get('timestampFormat')]}", 0, first, count, self.limits(shape),
            self.pool.add(shape.get("pattern")), self.error(name, shape), self.pool.add(shape.get("payload"))))

    def limits(self, shape):
        if "min" not in shape and "max" not in shape:
            return NONE
        row = tuple(repr(float(shape[side])) if side in shape else f"{sign}__builtin_inf()"
                    for side, sign in (("min", "-"), ("max", "")))
        if row not in self.limit_rows:
            self.limit_rows.append(row)
        return self.limit_rows.index(row)

    def error(self, name, shape):
        if not shape.get("exception"):
            return NONE
        error = shape.get("error", {})
        self.error_rows.append((self.pool.add(error.get("code", name)),
                                error.get("httpStatusCode", 500 if shape.get("fault") else 400),
                                0 if shape.get("fault") else 1))
        return len(self.error_rows) - 1

    def add_operation(self, name, operation):
        errors = [self.shape_numbers[error] for error in operation.get("errors", [])]
        http = operation["http"]
        self.operation_rows.append((
            self.pool.add(name), self.shape_of(operation, "input"), self.shape_of(operation, "output"),
            self.pool.add(operation.get("output", {}).get("resultWrapper")), self.pool.add(http["method"]),
            self.pool.add(http["requestUri"]), http.get("responseCode", 200), len(self.operation_errors), len(errors),
            self.pagination(name)))
        self.operation_errors += errors

    def shape_of(self, operation, side):
        return self.shape_numbers[operation[side]["shape"]] if side in operation else NONE

    def pagination(self, name):
        rule = self.model["pagination"].get(name)
        if rule is None:
            return NONE
        joined = [",".join(value) if isinstance(value, list) else value
                  for value in (rule.get(key) for key in ("input_token", "output_token", "limit_key", "result_key"))]
        self.pagination_rows.append(tuple(self.pool.add(value) for value in joined))
        return len(self.pagination_rows) - 1

    def render(self, service):
        parts = ["// Made by api/tables.py from the service model; not for editing.", '#include "aws/model.h"', "",
                 "namespace millwright::aws::tables {", "namespace {", "",
                 f"constexpr char kPool[] =\n{self.pool.literal()};"]
        arrays = [("ShapeRow", "kShapes", self.shape_rows), ("MemberRow", "kMembers", self.member_rows),
                  ("uint32_t", "kEnumValues", self.enum_rows), ("LimitRow", "kLimits", self.limit_rows),
                  ("ErrorRow", "kErrors", self.error_rows), ("OperationRow", "kOperations", self.operation_rows),
                  ("uint32_t", "kOperationErrors", self.operation_errors),
                  ("PaginationRow", "kPaginations", self.pagination_rows)]
        present = {}
        for kind, name, rows in arrays:
            present[name] = name if rows else "nullptr"
            if rows:
                body = ",\n".join("    " + (row_text(row) if isinstance(row, tuple) else str(row)) for row in rows)
                parts.append(f"constexpr {kind} {name}[] = {{\n{body}}};")
        parts += ["", "}  // namespace", "", self.service_table(service, present), "",
                  "}  // namespace millwright::aws::tables", ""]
        return "\n".join(parts)

    def texts(self, service):
        metadata = self.model["metadata"]
        return [service, metadata["apiVersion"], metadata.get("signingName", metadata["endpointPrefix"]),
                metadata.get("targetPrefix", ""), metadata.get("jsonVersion", ""), metadata.get("xmlNamespace", ""),
                metadata["protocol"], metadata["serviceId"]]

    def as_document(self, service):
        """The rows as numbers, for programs that load them; limits that are missing are null."""
        return {"texts": self.texts(service), "query_compatible": "awsQueryCompatible" in self.model["metadata"],
                "pool": list(self.pool.offsets), "shapes": numbered(self.shape_rows), "members": numbered(self.member_rows),
                "enum_values": self.enum_rows, "errors": numbered(self.error_rows),
                "limits": [[None if "inf" in side else float(side) for side in row] for row in self.limit_rows],
                "operations": numbered(self.operation_rows), "operation_errors": self.operation_errors,
                "paginations": numbered(self.pagination_rows)}

    def service_table(self, service, present):
        metadata = self.model["metadata"]
        symbol = "k" + "".join(part.capitalize() for part in service.split("-"))
        return (f"extern const ServiceTable {symbol};\nconst ServiceTable {symbol} = {{\n    "
                + ", ".join(json.dumps(text) for text in self.texts(service))
                + f",\n    {'true' if 'awsQueryCompatible' in metadata else 'false'}, kPool, {present['kShapes']}, "
                + f"{len(self.shape_rows)}, {present['kMembers']},\n    {present['kEnumValues']}, {present['kLimits']}, "
                + f"{present['kErrors']}, {present['kOperations']}, {len(self.operation_rows)},\n    "
                + f"{present['kOperationErrors']}, {present['kPaginations']}}};")


def row_text(row):
    return "{" + ", ".join("kNoRow" if cell == NONE else str(cell) for cell in row) + "}"


def numbered(rows):
    def number(cell):
        kind, _, name = cell.partition("::") if isinstance(cell, str) else (None, None, None)
        return ENUMERATORS[kind].index(name) if kind else cell
    return [[number(cell) for cell in row] for row in rows]


def render(service, model, overlay=None):
    return Tables(merge(model, overlay or {})).render(service)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model", type=pathlib.Path)
    arguments.add_argument("--overlay", type=pathlib.Path)
    arguments.add_argument("--out", type=pathlib.Path, required=True)
    options = arguments.parse_args()
    overlay = json.loads(options.overlay.read_text()) if options.overlay else None
    options.out.write_text(render(options.model.stem, json.loads(options.model.read_text()), overlay))


if __name__ == "__main__":
    main()
