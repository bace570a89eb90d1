"""Installing and importing the user's modules."""
import importlib
import os
import sys

from sagemaker_training import environment, errors, files, process

DEFAULT_MODULE_NAME = "default_user_module_name"


def exists(name):
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def has_requirements(path):
    return os.path.exists(os.path.join(path, "requirements.txt"))


def _pip_install(arguments, error_class, path, capture_error):
    process.check_error([process.python_executable(), "-m", "pip", "install", *arguments], error_class, cwd=path,
                        capture_error=capture_error)


def install(path, capture_error=False):
    more = ["-r", "requirements.txt"] if has_requirements(path) else []
    _pip_install([".", *more], errors.InstallModuleError, path, capture_error)


def install_requirements(path, capture_error=False):
    _pip_install(["-r", "requirements.txt"], errors.InstallRequirementsError, path, capture_error)


def import_module(uri, name=DEFAULT_MODULE_NAME, cache=None):
    """The module `name` of the code at `uri`, which is fetched when the code folder is empty."""
    files.download_and_extract(uri, environment.code_dir)
    if environment.code_dir not in sys.path:
        sys.path.insert(0, environment.code_dir)
    try:
        return importlib.import_module(name)
    except Exception as problem:
        raise errors.ImportModuleError(problem).with_traceback(problem.__traceback__)


def run_module(uri, args, env_vars=None, name=DEFAULT_MODULE_NAME, cache=None, wait=True, capture_error=False):
    """Runs the module in a process of its own."""
    files.download_and_extract(uri, environment.code_dir)
    environment.write_env_vars(env_vars)
    return process.check_error([process.python_executable(), "-m", name, *args], capture_error=capture_error)
