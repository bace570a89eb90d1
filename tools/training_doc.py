#!/usr/bin/env python3
"""Writes the table of request members in docs/reference/training.md from the server's own (millwright operations --training-members).

usage: training_doc.py [--check]    --check: exit with 1 when the table is not complete, names a test that does not exist, or
                                    is not what stands in the page
"""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(os.environ.get("MILLWRIGHT_BIN", ROOT / "build/release/bin"))
PAGE = ROOT / "docs/reference/training.md"
MODEL = ROOT / "api/models/sagemaker.json"
BEGIN, END = "<!-- members: begin (tools/training_doc.py writes this table) -->", "<!-- members: end -->"


def rows():
    dump = subprocess.run([BIN / "millwright", "operations", "--training-members"], check=True, capture_output=True, text=True)
    return json.loads(dump.stdout)


def leaves(shapes, shape, path=""):
    """Paths of the members without members of their own: "A.B", "List[].Member", "Map{}"."""
    about = shapes[shape]
    if about["type"] == "structure":
        for name, member in about["members"].items():
            yield from leaves(shapes, member["shape"], f"{path}.{name}" if path else name)
    elif about["type"] == "list" and shapes[about["member"]["shape"]]["type"] == "structure":
        yield from leaves(shapes, about["member"]["shape"], path + "[]")
    else:
        yield path + "{}" if about["type"] == "map" else path


def covers(row, leaf):
    return leaf == row or (leaf.startswith(row) and leaf[len(row)] in ".[{")


def incomplete(table):
    """What is wrong with the table, measured by the service model: members without a row or with several, rows without a member."""
    shapes = json.loads(MODEL.read_text())["shapes"]
    members = list(leaves(shapes, "CreateTrainingJobRequest"))
    for leaf in members:
        found = [row["member"] for row in table if covers(row["member"], leaf)]
        if len(found) != 1:
            yield f"{leaf} has {len(found)} rows: {found}"
    for row in table:
        if not any(covers(row["member"], leaf) for leaf in members):
            yield f"{row['member']} is no member of the model"
        if not row["word"]:
            yield f"{row['member']} says nothing"


def exists(test):
    """"tests/….py::test_x", or "Suite.Name" of a unit test."""
    if "::" in test:
        path, name = test.split("::")
        file = ROOT / path
        return file.exists() and re.search(rf"^def {re.escape(name)}\(", file.read_text(), flags=re.M) is not None
    suite, _, name = test.partition(".")
    declared = re.compile(rf"TEST(_F|_P)?\(\s*{re.escape(suite)},\s*{re.escape(name)}\)")
    return any(declared.search(path.read_text(errors="replace")) for path in ROOT.glob("src/**/*_test.cc"))


def missing_tests(table):
    for row in table:
        if row["treatment"] == "honoured" and not exists(row["word"]):
            yield f"{row['member']} names the test {row['word']}, which does not exist"


def table_text(table):
    lines = ["| Member | Here | |", "|---|---|---|"]
    for row in table:
        word = f"held by `{row['word']}`" if row["treatment"] == "honoured" else row["word"]
        lines.append(f"| `{row['member']}` | {row['treatment']} | {word} |")
    return "\n".join(lines)


def page_with(text):
    page = PAGE.read_text()
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def main():
    table = rows()
    wrong = [*incomplete(table), *missing_tests(table)]
    for line in wrong:
        print(line)
    text = page_with(table_text(table))
    if "--check" in sys.argv:
        if text != PAGE.read_text():
            print("docs/reference/training.md is out of date; run tools/training_doc.py")
        return int(bool(wrong) or text != PAGE.read_text())
    PAGE.write_text(text)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
