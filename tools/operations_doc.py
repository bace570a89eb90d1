#!/usr/bin/env python3
"""Writes docs/reference/operations.md from the tables the server itself runs on, and the tests that name each operation.

usage: operations_doc.py [--check]    --check: exit with 1 when the committed page is not what would be written
"""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/reference/operations.md"
BIN = Path(os.environ.get("MILLWRIGHT_BIN", ROOT / "build/release/bin"))
INTRODUCTION = """# Operations

Written by `tools/operations_doc.py` from the operation tables of the server (`millwright operations`); do not edit.

An operation that is not implemented is known all the same: its name is recognised, and the answer is an error that says that Millwright does not
support it yet. *Held by* names the test files that exercise it.
"""


def snake_case(name):
    """As botocore spells the method: CreateTrainingJob -> create_training_job, ListObjectsV2 -> list_objects_v2."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def test_sources():
    files = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("examples/*.py"), *ROOT.glob("src/**/*_test.cc")]
    return {path: path.read_text(errors="replace") for path in sorted(files)}


def held_by(operation, sources):
    pattern = re.compile(rf"\b{snake_case(operation)}\b|\b{operation}\b")
    return [str(path.relative_to(ROOT)) for path, text in sources.items() if pattern.search(text)]


def page():
    described = json.loads(subprocess.run([BIN / "millwright", "operations"], check=True, capture_output=True, text=True).stdout)
    sources = test_sources()
    parts = [INTRODUCTION]
    for service in described:
        operations = service["operations"]
        done = [o["name"] for o in operations if o["implemented"]]
        missing = [o["name"] for o in operations if not o["implemented"]]
        parts.append(f"\n## {service['service']}: {len(done)} of {len(operations)}\n")
        if done:
            parts.append("| Operation | Held by |\n|---|---|")
            parts += [f"| `{name}` | {', '.join(f'`{t}`' for t in held_by(name, sources)[:3]) or '–'} |" for name in done]
        if missing:
            parts.append("\nNot implemented: " + ", ".join(missing) + ".")
    return "\n".join(parts) + "\n"


def main():
    text = page()
    if "--check" in sys.argv:
        if not PAGE.exists() or PAGE.read_text() != text:
            print("docs/reference/operations.md is out of date; run tools/operations_doc.py")
            return 1
        return 0
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
