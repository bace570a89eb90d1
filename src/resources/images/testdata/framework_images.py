#!/usr/bin/env python3
"""Writes framework_images.txt: the image URIs that SageMaker's SDKs produce for frameworks, and what was asked of the SDK.

    framework_images.py PYTHON…     each a Python with SDK v1, v2 or v3 installed

A line: <repository:tag> <framework> <version> <python or -> <cpu|gpu> <training|inference>
"""
import json
import os
import subprocess
import sys
from pathlib import Path

NAMES = {"sklearn": "scikit-learn", "tensorflow-scriptmode": "tensorflow", "sagemaker-base-python": "python"}
INSTANCES = {"cpu": "ml.m5.xlarge", "gpu": "ml.p3.2xlarge"}
V1 = {
    "tensorflow-scriptmode": "1.11.0 1.12.0 1.13.1 1.14.0 1.15.0 1.15.2 2.0.0 2.0.1 2.1.0 2.2.0",
    "tensorflow-serving": "1.11.0 1.12.0 1.13.0 1.14.0 1.15.0 1.15.2 2.0.0 2.1.0 2.2.0",
    "mxnet": "0.12.1 1.0.0 1.1.0 1.2.1 1.3.0 1.4.0 1.4.1 1.6.0 1.7.0",
    "mxnet-serving": "1.4.0 1.4.1 1.6.0 1.7.0",
    "pytorch": "0.4.0 1.0.0 1.1.0 1.2.0 1.3.1 1.4.0 1.5.0 1.6.0",
    "pytorch-serving": "1.2.0 1.3.1 1.4.0 1.5.0 1.6.0",
    "chainer": "4.0.0 4.1.0 5.0.0",
}


def python_of(name):
    digits = (name or "").removeprefix("py")
    return "-" if not digits else digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"


def ask_v1():
    from sagemaker import fw_utils
    from sagemaker.fw_registry import default_framework_uri
    for name, versions in V1.items():
        serving = name.endswith("-serving")
        framework = NAMES.get(name, name.removesuffix("-serving"))
        for version in versions.split():
            for python in [None] if name == "tensorflow-serving" else ["py2", "py3", "py37"]:
                for device, instance in INSTANCES.items():
                    for accelerator in [None, "ml.eia1.medium"] if serving else [None]:
                        try:
                            uri = fw_utils.create_image_uri("us-west-2", name, instance, version, python,
                                                            accelerator_type=accelerator)
                        except ValueError:
                            continue  # the SDK knows no such combination
                        yield uri, framework, version, python, device, "inference" if serving else "training"
    for name, tags in {"scikit-learn": "0.20.0 0.23-1", "xgboost": "0.90-1 0.90-2 1.0-1"}.items():
        for tag in tags.split():
            yield default_framework_uri(name, "us-west-2", tag + "-cpu-py3"), name, tag, "py3", "cpu", "training"


def ask_v2():
    try:
        from sagemaker.core import image_uris
        import sagemaker.core as package
    except ImportError:
        from sagemaker import image_uris
        import sagemaker as package
    folder = Path(package.__file__).parent / "image_uri_config"
    for name in ["pytorch", "tensorflow", "mxnet", "chainer", "sklearn", "xgboost"]:
        config = json.loads((folder / f"{name}.json").read_text())
        scopes = {None: config} if "versions" in config else {k: v for k, v in config.items() if "versions" in v}
        for scope, table in scopes.items():
            for version in list(table["versions"]) + list(table.get("version_aliases", {})):
                entry = table["versions"][table.get("version_aliases", {}).get(version, version)]
                for python in entry.get("py_versions") or [None]:
                    for device, instance in INSTANCES.items():
                        for use in [scope] if scope else table["scope"]:
                            try:
                                uri = image_uris.retrieve(name, "us-west-2", version=version, py_version=python,
                                                          instance_type=instance, image_scope=use)
                            except ValueError:
                                continue
                            use = "training" if use == "training" else "inference"
                            yield uri, NAMES.get(name, name), version, python, device, use
    for python in ["310", "38"]:
        uri = image_uris.get_base_python_image_uri("us-west-2", python)
        yield uri, "python", "-", "py" + python, "cpu", "training"


def ask_this_python():
    import logging
    import warnings
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    import sagemaker
    for answer in (ask_v1 if hasattr(sagemaker, "fw_utils") and not hasattr(sagemaker, "image_uris") else ask_v2)():
        print("ANSWER", json.dumps(answer))


def main():
    lines, uses = {}, {}
    for python in sys.argv[1:]:
        out = subprocess.run([python, __file__], env=os.environ | {"ASK_THIS_PYTHON": "1"}, check=True, text=True,
                             stdout=subprocess.PIPE).stdout
        for line in out.splitlines():
            if not line.startswith("ANSWER "):
                continue
            uri, framework, version, python_name, device, use = json.loads(line[7:])
            version, _, digits = version.partition("-py")  # scikit-learn's "1.4-2-py312"
            python_name = "py" + digits if digits else python_name
            image = uri.split("/", 1)[1]
            if image.startswith(("xgboost:", "sagemaker-tensorflow:", "sagemaker-tensorflow-eia:")):
                continue  # an algorithm without script mode; TensorFlow's legacy mode
            # Old images are for both; a tag without a Python or a device leaves them open.
            uses.setdefault(image, set()).add(use)
            named = image.split(":")[1].split("-")
            asked = python_of(python_name) if framework == "python" or any(p.startswith("py") for p in named) else "-"
            if "-" + device not in image:
                device = "cpu"
            lines[image] = [framework, version, asked, device]
    path = Path(__file__).with_suffix(".txt")
    path.write_text("".join(f"{image} {' '.join(lines[image])} {max(uses[image])}\n" for image in sorted(lines)))
    print(f"{len(lines)} images in {path}")


if os.environ.get("ASK_THIS_PYTHON"):
    ask_this_python()
else:
    main()
