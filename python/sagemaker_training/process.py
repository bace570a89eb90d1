"""Running commands with the toolkit's errors."""
import os
import subprocess
import sys

from sagemaker_training import environment, errors


def python_executable():
    if not sys.executable:
        raise RuntimeError("Failed to retrieve the real path for the Python executable binary")
    return sys.executable


def check_error(cmd, error_classes=errors.ExecuteUserScriptError, processes_per_host=1, cwd=None, capture_error=True,
                env=None, **kwargs):
    """Runs a command to its end; raises the (first) error class, with the last of standard error, when it fails."""
    error_class = error_classes[0] if isinstance(error_classes, (list, tuple)) else error_classes
    if isinstance(error_class, str):
        error_class = getattr(errors, error_class, errors.ExecuteUserScriptError)
    process = subprocess.Popen(cmd, cwd=cwd or environment.code_dir, env=env or os.environ,
                               stderr=subprocess.PIPE if capture_error else None, **kwargs)
    last = b""
    if capture_error:
        for line in process.stderr:
            sys.stderr.buffer.write(line)
            last = (last + line)[-16384:]
        sys.stderr.flush()
    code = process.wait()
    if code:
        info = "OutOfMemory: Process killed by SIGKILL (signal 9)" if code in (137, -9) else None
        raise error_class(cmd=" ".join(cmd), return_code=code, output=last, info=info)
    return process
