"""The functions of an inference script, put together to one call."""
import importlib
import inspect
import os
import sys

from millwright_serving import defaults
from sagemaker_inference import errors


class ScriptError(Exception):
    """The script cannot be used as it is."""


class Context:
    """What functions get that take one more argument than they must."""

    def __init__(self, model_dir, headers=None, request_id=""):
        self.system_properties = {"model_dir": str(model_dir), "gpu_id": os.environ.get("MILLWRIGHT_GPU"), "batch_size": 1}
        self.manifest = {}
        self._headers = headers or {}
        self._request_id = request_id

    def get_request_id(self, idx=0):
        return self._request_id

    def get_all_request_header(self, idx=0):
        return dict(self._headers)

    def get_request_header(self, idx_or_name, name=None):
        wanted = (name if name is not None else str(idx_or_name)).lower()
        return next((value for key, value in self._headers.items() if key.lower() == wanted), None)


def import_script(folder, program):
    """The module of the script; None where there is no such file."""
    path = folder / program
    if not path.is_file():
        return None
    sys.path.insert(0, str(folder))
    return importlib.import_module(program[:-len(".py")].replace("/", ".") if program.endswith(".py") else program)


def arguments_of(function, count, name):
    """How many of `count` arguments and the context behind them the function takes."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return count
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = sum(1 for p in places if p.default is p.empty)
    any_number = any(p.kind == p.VAR_POSITIONAL for p in parameters)
    if len(places) == count + 1 or needed == count + 1:
        return count + 1
    if needed <= count and (any_number or len(places) >= count):
        return count
    raise ScriptError(f"{name} takes {len(places)} arguments; it must take {count}, or {count + 1} with the context")


class Handlers:
    """One model. REQUIRES for transform(): load() has returned."""

    NAMES = {"model_fn": 1, "input_fn": 2, "predict_fn": 2, "output_fn": 2, "transform_fn": 4}

    def __init__(self, framework, module, model_dir):
        self.model_dir = model_dir
        self.model = None
        standing_in = defaults.of(framework)
        self.functions, self.counts = {}, {}
        own = {name for name in self.NAMES if hasattr(module, name)}
        if "transform_fn" in own and own & {"input_fn", "predict_fn", "output_fn"}:
            raise ScriptError("transform_fn cannot stand beside input_fn, predict_fn or output_fn")
        for unserved in ("input_handler", "output_handler", "handler"):
            if hasattr(module, unserved) and not own:
                raise ScriptError(f"{unserved} is for TensorFlow Serving, which is not here; define model_fn, input_fn, "
                                  "predict_fn and output_fn")
        for name, count in self.NAMES.items():
            function = getattr(module, name, None) or getattr(standing_in, name, None)
            if function is None:
                continue
            self.functions[name] = function
            self.counts[name] = arguments_of(function, count, name)

    def _call(self, name, *arguments):
        return self.functions[name](*arguments[:self.counts[name]])

    def load(self):
        self.model = self._call("model_fn", str(self.model_dir), Context(self.model_dir))

    def transform(self, body, content_type, accept, context):
        """(body, content type, status, headers)"""
        if "transform_fn" in self.functions:
            return answer_of(self._call("transform_fn", self.model, body, content_type, accept, context), accept)
        data = self._call("input_fn", body, content_type, context)
        prediction = self._call("predict_fn", data, self.model, context)
        try:
            return answer_of(self._call("output_fn", prediction, accept, context), accept)
        except errors.UnsupportedFormatError as problem:
            if problem.content_type != accept:
                raise
            raise errors.GenericInferenceToolkitError(406, f"The answer cannot be had as {accept}.")


def answer_of(result, accept):
    """A body, (body, content type), or a Response of sagemaker_containers or flask."""
    status, headers, content_type = 200, {}, accept
    if hasattr(result, "get_data"):
        status, content_type = result.status_code, result.mimetype or accept
        headers = {k: v for k, v in dict(result.headers).items() if k.lower() not in ("content-type", "content-length")}
        result = result.get_data()
    elif isinstance(result, tuple) and len(result) == 2:
        result, content_type = result
    if isinstance(result, str):
        result = result.encode()
    if not isinstance(result, (bytes, bytearray, memoryview)):
        raise TypeError(f"output_fn must return bytes, a text, or a pair of these and a content type; this is a "
                        f"{type(result).__name__}")
    return bytes(result), content_type, status, headers
