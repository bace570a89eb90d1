"""Golden check of api/tables.py. UPDATE_EXPECTED=1 rewrites the expected text; read the diff before committing it."""
import importlib.util
import json
import os
import pathlib
import unittest

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE / "golden"


def load(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TablesTest(unittest.TestCase):
    def test_sample_model_gives_the_golden_tables(self):
        model = json.loads((GOLDEN / "sample.json").read_text())
        overlay = json.loads((GOLDEN / "sample_overlay.json").read_text())
        text = load("tables").render("sample", model, overlay)
        expected = GOLDEN / "sample_tables.cc"
        if os.environ.get("UPDATE_EXPECTED") == "1":
            expected.write_text(text)
        self.assertEqual(text, expected.read_text())

    def test_overlay_replaces_adds_and_removes(self):
        merged = load("tables").merge({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 3, "c": None}, "d": [2], "e": 5})
        self.assertEqual(merged, {"a": {"b": 3}, "d": [2], "e": 5})


class ModelsTest(unittest.TestCase):
    def test_models_hold_no_documentation(self):
        # A property, not a name: some shapes have members called "Documentation".
        def walk(entry, path):
            if isinstance(entry, dict):
                for name, value in entry.items():
                    prose = name in ("documentation", "deprecatedMessage") and isinstance(value, str)
                    self.assertFalse(prose, f"{path}/{name}")
                    walk(value, f"{path}/{name}")
        for model in sorted((HERE / "models").glob("*.json")):
            walk(json.loads(model.read_text()), model.name)

    def test_generate_renders_what_it_reads(self):
        generate = load("generate")
        for model in sorted((HERE / "models").glob("*.json")):
            self.assertEqual(generate.render(json.loads(model.read_text())), model.read_text(), model.name)

    def test_generate_keeps_facts_and_drops_the_rest(self):
        shape = {"type": "string", "max": 5, "documentation": "<p>text</p>", "deprecated": True}
        self.assertEqual(load("generate").strip_shape(shape), {"type": "string", "max": 5})


if __name__ == "__main__":
    unittest.main()
