"""From an empty data directory to two trained, deployed and checked models. Run by `tools/dev quickstart`.

It starts a Millwright server, points this process at it with the variables that `millwright env` prints, and then runs the
two SDK v2 examples of this folder as they are.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / "build/release/bin"


class Steps:
    """Says what happens and how long each part took."""

    def __init__(self):
        self.began = time.monotonic()

    def __call__(self, text, work):
        print(f"\n-- {text}", flush=True)
        start = time.monotonic()
        result = work()
        print(f"   [{time.monotonic() - start:.2f} s]", flush=True)
        return result


def start_server(folder):
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    log = open(folder.parent / "quickstart-server.log", "wb")
    process = subprocess.Popen([BIN / "millwright", "serve", "--data-dir", folder, "--listen", "127.0.0.1:0"], stdout=log,
                               stderr=log)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the server did not start; see {log.name}")
        try:
            about = json.loads((folder / "server.json").read_text())
            urllib.request.urlopen(about["url"] + "/health", timeout=5).read()
            print(f"   listening on {about['url']}, all state in {folder}")
            return process
        except (OSError, ValueError):
            time.sleep(0.005)
    raise SystemExit(f"the server did not answer; see {log.name}")


def shell_environment(folder):
    text = subprocess.run([BIN / "millwright", "env", "--data-dir", folder], check=True, capture_output=True, text=True).stdout
    variables = {}
    for line in text.splitlines():
        if line.startswith("export "):
            name, value = line[len("export "):].split("=", 1)
            variables[name] = value.strip("'")
    print("   " + " ".join(sorted(variables)))
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "SAGEMAKER_"))}
    return {**clean, **variables}


def run_example(name, environment):
    quiet = {"PYTHONUNBUFFERED": "1", "SAGEMAKER_SUPPRESS_V2_WARNING": "1"}
    result = subprocess.run([sys.executable, "-W", "ignore", ROOT / "examples" / name], env={**environment, **quiet})
    if result.returncode != 0:
        raise SystemExit(f"{name} failed")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data-dir", type=Path, default=ROOT / "build/quickstart/data", help="emptied first")
    folder = options.parse_args().data_dir
    step = Steps()
    server = step("Starting the Millwright server: your own SageMaker, on this machine", lambda: start_server(folder))
    try:
        environment = step("Asking `millwright env` for the variables that point AWS code at it", lambda: shell_environment(folder))
        step("XGBoost on scikit-learn's breast cancer data: train, deploy, predict, compare with libxgboost "
             "(examples/xgboost_sdk_v2.py)", lambda: run_example("xgboost_sdk_v2.py", environment))
        step("PCA on scikit-learn's digits: train, deploy, project, compare with LAPACK (examples/pca_sdk_v2.py)",
             lambda: run_example("pca_sdk_v2.py", environment))
    finally:
        step("Stopping the server", lambda: (server.terminate(), server.wait(30)))
    print(f"\nDone in {time.monotonic() - step.began:.1f} s. Most of it is the SDK waiting between its polls (see the times of the "
          "log lines).\nTo use it yourself:\n"
          f"  {os.path.relpath(BIN / 'millwright')} serve &\n"
          f"  eval \"$({os.path.relpath(BIN / 'millwright')} env)\"\n"
          "  python your_sagemaker_code.py")


if __name__ == "__main__":
    main()
