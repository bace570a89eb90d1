"""Loads modules, then becomes one script, at once.

    python millwright_warm/__main__.py MODULE…

listens at SOCKET and, when asked, forks: the child is to the script what a fresh interpreter would have been. One script
only; whatever would make a difference that cannot be undone (a variable that libraries read when they are loaded, a file
that would have been loaded instead) is refused, and who asked starts an interpreter of its own.

    request   length (4 bytes, big endian), with descriptors 0, 1 and 2 of the script beside it
              folder NUL number of arguments NUL (argument NUL)* (NAME=value NUL)*
    answer    "ready\\n" or "refused REASON\\n"; after one more byte "started PID\\n" and, in the end,
              "ended WAIT_STATUS\\n"
"""
import sys

AT_START = frozenset(sys.modules)  # what every interpreter has loaded before its first line

import ctypes  # noqa: E402
import gc  # noqa: E402
import importlib  # noqa: E402
import importlib.machinery  # noqa: E402
import io  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import select  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import time  # noqa: E402
import types  # noqa: E402

SOCKET = "/run/millwright/warm"
REPORT = "/run/millwright/warm.json"
MAX_REQUEST = 4 << 20

# Read while modules are loaded, or by the interpreter itself.
READ_EARLY = ("PYTHON", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "NUMEXPR_", "CUDA_", "NVIDIA_", "TORCH",
              "PYTORCH_", "TF_", "XLA_", "KERAS_", "MXNET_", "CHAINER_", "CUPY_", "JAX_", "HF_", "TRANSFORMERS_", "MPL",
              "NUMBA_", "NUMPY_", "NPY_", "SKLEARN_", "SCIPY_", "XGBOOST_", "ARROW_", "PROTOCOL_BUFFERS_", "LD_",
              "GLIBC_", "MALLOC_", "LANG", "LC_", "TZ", "HOME")
READ_LATE = ("PYTHONPATH", "TF_CONFIG")  # the first is done here, the second is read by what needs it
# Threads that survive no fork, or handles that two processes must not share.
NEVER_LOADED = ("mxnet", "mpi4py", "horovod", "ray", "pyspark", "jpype")
STARTED_WITH = dict(os.environ)  # modules set variables, too
THIS_MODULE = sys.modules["__main__"]  # lives on when the script's takes its place
PR_SET_PDEATHSIG = 1


def load(modules):
    """What is not there, or does not load, is left to the script."""
    loaded, failed = [], {}
    for name in modules:
        if name.split(".")[0] in NEVER_LOADED:
            failed[name] = "does not survive a fork"
            continue
        try:
            importlib.import_module(name)
            loaded.append(name)
        except BaseException as error:  # noqa: B036 (a module may raise SystemExit)
            failed[name] = f"{type(error).__name__}: {error}"[:200]
    return loaded, failed


def listen():
    os.makedirs(os.path.dirname(SOCKET), mode=0o700, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(SOCKET)
    listener.listen(1)
    return listener


def receive(connection):
    """The request, or None when the other side went away."""
    head, descriptors, _, _ = socket.recv_fds(connection, 4, 3)
    if len(head) != 4 or len(descriptors) != 3:
        return None
    size = int.from_bytes(head, "big")
    if size > MAX_REQUEST:
        return None
    payload = bytearray()
    while len(payload) < size:
        more = connection.recv(min(1 << 16, size - len(payload)))
        if not more:
            return None
        payload += more
    folder, count, *rest = bytes(payload[:-1]).split(b"\0")
    arguments, variables = rest[:int(count)], rest[int(count):]
    environment = dict(pair.split(b"=", 1) for pair in variables)
    return {"folder": os.fsdecode(folder), "arguments": [os.fsdecode(text) for text in arguments],
            "environment": {os.fsdecode(name): os.fsdecode(value) for name, value in environment.items()},
            "descriptors": descriptors}


def early_difference(environment):
    """The name of a variable that should have been there before, or None."""
    for name in sorted(set(environment) | set(STARTED_WITH)):
        if name in READ_LATE or not name.startswith(READ_EARLY):
            continue
        if environment.get(name) != STARTED_WITH.get(name):
            return name
    return None


def python_path(folder, environment):
    return [os.path.join(folder, part) for part in environment.get("PYTHONPATH", "").split(":") if part]


def loaded_instead(folders):
    """A module of the script's folders whose name is loaded from elsewhere already, or None."""
    suffixes = tuple(importlib.machinery.all_suffixes())
    taken = {name for name in sys.modules if "." not in name} - AT_START | {"sitecustomize", "usercustomize"}
    for folder in folders:
        try:
            entries = os.listdir(folder)
        except OSError:
            continue
        for entry in entries:
            name = entry.split(".")[0]
            if name not in taken or name == "__main__":
                continue
            path = os.path.join(folder, entry)
            if entry.endswith(suffixes) or os.path.exists(os.path.join(path, "__init__.py")):
                here = getattr(sys.modules.get(name), "__file__", None) or ""
                if not here.startswith(folder.rstrip("/") + "/"):
                    return path
    return None


def refusal(request):
    arguments = request["arguments"]
    if len(arguments) < 2 or os.path.dirname(arguments[0]) != os.path.dirname(sys.executable):
        return "another interpreter is asked for"
    if arguments[1].startswith("-") and (arguments[1] != "-m" or len(arguments) < 3):
        return "options of the interpreter"
    name = early_difference(request["environment"])
    if name:
        return f"{name} differs"
    folders = [script_folder(request)] + python_path(request["folder"], request["environment"])
    shadow = loaded_instead(folders)
    if shadow:
        return f"{shadow} would have been loaded instead"
    return None


def script_folder(request):
    if request["arguments"][1] == "-m":
        return request["folder"]
    return os.path.dirname(os.path.realpath(os.path.join(request["folder"], request["arguments"][1])))


def become(request, base_path):
    """In the child: everything that a fresh interpreter would have done before the first line of the script."""
    for target, descriptor in enumerate(request["descriptors"]):
        os.dup2(descriptor, target)
    os.closerange(3, max(64, max(request["descriptors"]) + 1))
    os.chdir(request["folder"])
    set_by_modules = {name: value for name, value in os.environ.items() if STARTED_WITH.get(name) != value}
    os.environ.clear()
    os.environ.update(set_by_modules)
    os.environ.update(request["environment"])
    sys.orig_argv = list(request["arguments"])
    sys.path[:] = [script_folder(request)] + python_path(request["folder"], request["environment"]) + base_path
    importlib.invalidate_caches()
    sys.path_importer_cache.clear()
    if "random" in sys.modules:
        sys.modules["random"].seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=__builtins__, __annotations__={})
    sys.modules["__main__"] = main
    return main


def run_script(path, arguments, main):
    """As `python path arguments`. Returns as the interpreter's main does: by SystemExit."""
    sys.argv = [path] + arguments
    whole = os.path.abspath(path)
    main.__file__ = whole
    main.__cached__ = None
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", whole)
    try:
        with io.open_code(whole) as file:
            source = file.read()
    except OSError as error:
        print(f"{sys.executable}: can't open file {whole!r}: [Errno {error.errno}] {error.strerror}", file=sys.stderr)
        raise SystemExit(2)
    exec(compile(source, whole, "exec", dont_inherit=True), main.__dict__)


def run_module(name, arguments):
    import runpy
    sys.argv = ["-m"] + arguments
    runpy._run_module_as_main(name)


def show(error):
    """As the interpreter shows what nobody caught, without the frames of this file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)


def live_as_script(request, base_path):
    main = become(request, base_path)
    _, what, *rest = request["arguments"]
    try:
        if what == "-m":
            run_module(rest[0], rest[1:])
        else:
            run_script(what, rest, main)
    except SystemExit:
        raise
    except KeyboardInterrupt as error:
        show(error)
        sys.stderr.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException as error:
        show(error)
        raise SystemExit(1)


def attend(connection, child):
    """Until the script has ended. Without whoever asked for it there is no script."""
    connection.sendall(f"started {child}\n".encode())
    watch = select.poll()
    ended = os.pidfd_open(child)
    watch.register(ended, select.POLLIN)
    watch.register(connection, select.POLLIN)
    while True:
        ready = dict(watch.poll())
        if ended in ready:
            break
        if connection.recv(1) == b"":
            try:
                os.killpg(child, signal.SIGKILL)
            except ProcessLookupError:
                pass
            watch.unregister(connection)
    _, status = os.waitpid(child, 0)
    try:
        connection.sendall(f"ended {status}\n".encode())
    except OSError:
        pass  # nobody is left to know


def serve(listener, base_path):
    """Returns in the child, with what to run; never in the parent."""
    connection, _ = listener.accept()
    listener.close()
    os.unlink(SOCKET)
    request = receive(connection)
    if request is None:
        os._exit(0)
    reason = refusal(request)
    if reason:
        connection.sendall(f"refused {reason}\n".encode())
        os._exit(0)
    connection.sendall(b"ready\n")
    if not connection.recv(1):
        os._exit(0)  # who asked has lost patience and started an interpreter of its own
    child = os.fork()
    if child == 0:
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        return request
    for descriptor in request["descriptors"]:
        os.close(descriptor)
    attend(connection, child)
    os._exit(0)


def main():
    begun = time.monotonic()
    listener = listen()
    del sys.path[0]  # the folder of this file
    loaded, failed = load(sys.argv[1:])
    gc.collect()
    gc.freeze()
    with open(REPORT + ".new", "w") as report:
        json.dump({"loaded": loaded, "failed": failed, "seconds": round(time.monotonic() - begun, 3),
                   "threads": len(os.listdir("/proc/self/task"))}, report)
    os.rename(REPORT + ".new", REPORT)
    base_path = list(sys.path)
    live_as_script(serve(listener, base_path), base_path)


main()
