"""Running an entry point from within a script."""
import os
import shlex

from sagemaker_training import environment, files, modules, process, runner


def run(uri, user_entry_point, args, env_vars=None, wait=True, capture_error=False,
        runner_type=runner.ProcessRunnerType, extra_opts=None):
    """Fetches and installs the code at `uri`, and runs its entry point to the end."""
    if runner_type is not runner.ProcessRunnerType:
        raise NotImplementedError("entry_point.run starts plain processes only; ask for MPI with the estimator's "
                                  "distribution argument")
    files.download_and_extract(uri, environment.code_dir)
    install(user_entry_point, environment.code_dir, capture_error)
    environment.write_env_vars(env_vars)
    if not user_entry_point.endswith(".sh") and os.path.exists(os.path.join(environment.code_dir, "setup.py")):
        command = [process.python_executable(), "-m", user_entry_point.replace(".py", ""), *args]
    elif user_entry_point.endswith(".py"):
        command = [process.python_executable(), user_entry_point, *args]
    else:
        command = ["/bin/sh", "-c", " ".join(["./" + user_entry_point, *map(shlex.quote, args)])]
    return process.check_error(command, capture_error=capture_error)


def install(name, path=environment.code_dir, capture_error=False):
    if not name.endswith(".sh") and os.path.exists(os.path.join(path, "setup.py")):
        modules.install(path, capture_error)
    elif name.endswith(".py"):
        if modules.has_requirements(path):
            modules.install_requirements(path, capture_error)
    else:
        os.chmod(os.path.join(path, name), 0o777)
