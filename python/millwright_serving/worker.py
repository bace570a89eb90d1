"""One worker: python -m millwright_serving.worker DESCRIPTOR FOLDER. Loads the script and the model, says so, and answers
requests one by one until the front goes away."""
import logging
import signal
import socket
import sys
import traceback
from pathlib import Path

from millwright_serving import frames
from millwright_serving.handlers import Context, Handlers, ScriptError, import_script
from millwright_serving.settings import Settings
from sagemaker_inference import errors


def plain(text):
    return {"status": 0, "content_type": "text/plain; charset=utf-8", "headers": {}}, text.encode(errors="replace")


def answer(handlers, settings, head, body):
    context = Context(handlers.model_dir, head["headers"], head["id"])
    try:
        body, content_type, status, headers = handlers.transform(body, head["content_type"], head["accept"], context)
        return {"status": status, "content_type": content_type, "headers": headers}, body
    except errors.BaseInferenceToolkitError as problem:
        reply, text = plain(f"{problem.message}")
        return {**reply, "status": problem.status_code}, text
    except Exception as problem:
        traceback.print_exc()
        sys.stderr.flush()
        reply, text = plain(f"{type(problem).__name__}: {problem}\n{traceback.format_exc()}")
        return {**reply, "status": 500}, text


def load(settings, folder):
    """The handlers with the model, or None when that is impossible; why is in the log."""
    try:
        module = import_script(folder, settings.program)
        if module is None and settings.program != "inference.py":
            raise ScriptError(f"there is no {settings.program} in {folder}")
        handlers = Handlers(settings.framework, module, settings.model_dir)
        handlers.load()
        return handlers
    except (ScriptError, NotImplementedError) as problem:
        print(f"the model cannot be loaded: {problem}", file=sys.stderr, flush=True)
    except Exception:
        traceback.print_exc()
        print("the model cannot be loaded; why stands above", file=sys.stderr, flush=True)
    return None


def main(descriptor, folder):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the front hears it, too, and ends us
    settings = Settings.read()
    logging.basicConfig(level=settings.log_level)
    connection = socket.socket(fileno=int(descriptor))
    handlers = load(settings, Path(folder))
    if handlers is None:
        sys.exit(1)
    connection.sendall(frames.pack({"ready": True}))
    reader = frames.Reader()
    while data := connection.recv(1 << 20):
        for head, body in reader.feed(data):
            connection.sendall(frames.pack(*answer(handlers, settings, head, body)))


if __name__ == "__main__":
    main(*sys.argv[1:])
