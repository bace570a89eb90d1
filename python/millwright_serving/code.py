"""Brings the script to where it can be imported, and installs what it requires."""
import os
import subprocess
import sys
from pathlib import Path

import millwright_fetch


class CodeError(Exception):
    pass


def bring(settings):
    """The folder of the script. It comes with the model, as an archive of its own, or with the image."""
    submitted, own = settings.submit_directory, settings.base / "code"
    # SDK v1 names the model itself, which it has packed again with the code in it.
    if submitted.endswith("/model.tar.gz") and (settings.model_dir / "code" / settings.program).is_file():
        return settings.model_dir / "code"
    if submitted.startswith("s3://") or (submitted and Path(submitted).is_file()):
        if not own.is_dir() or not any(own.iterdir()):
            try:
                millwright_fetch.fetch(submitted, str(own))
            except Exception as problem:  # whatever it is, the user wants its words, not our stack
                raise CodeError(f"cannot bring the code {submitted}: {type(problem).__name__}: {problem}")
        return own
    for folder in ([Path(submitted)] if submitted else []) + [settings.model_dir / "code", own]:
        if folder.is_dir():
            return folder
    return settings.model_dir / "code"


def install_requirements(folder):
    if not (folder / "requirements.txt").is_file():
        return
    print("installing requirements.txt", flush=True)
    done = subprocess.run([sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input",
                           "--root-user-action=ignore", "--progress-bar=off", "-r", "requirements.txt"], cwd=folder,
                          env=os.environ)
    if done.returncode != 0:
        raise CodeError(f"pip could not install {folder}/requirements.txt; its words stand above")
