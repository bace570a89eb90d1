"""What stands in for functions that a script does not define, by framework."""
import json
import os
from pathlib import Path

from sagemaker_inference import content_types, decoder, encoder, errors


class Generic:
    """Without a framework: arrays in and out, and a model with `predict`."""

    needs = "the script must define model_fn(model_dir), which returns the model"

    @classmethod
    def model_fn(cls, model_dir):
        raise NotImplementedError(cls.needs)

    @staticmethod
    def input_fn(body, content_type):
        return decoder.decode(body, content_type)

    @staticmethod
    def predict_fn(data, model):
        return model.predict(data) if hasattr(model, "predict") else model(data)

    @staticmethod
    def output_fn(prediction, accept):
        return encoder.encode(prediction, accept), accept


def _rows(array):
    """A request of one row is one row, not a column."""
    return array.reshape(1, -1) if getattr(array, "ndim", 2) == 1 else array


class ScikitLearn(Generic):

    @staticmethod
    def input_fn(body, content_type):
        array = decoder.decode(body, content_type)
        return _rows(array.astype("float32") if content_type in content_types.UTF8_TYPES else array)


class Xgboost(Generic):

    @classmethod
    def model_fn(cls, model_dir):
        import pickle
        import xgboost
        path = Path(model_dir) / "xgboost-model"
        if not path.is_file():
            raise NotImplementedError(f"there is no file xgboost-model in the model, so {cls.needs}")
        booster = xgboost.Booster()
        try:
            booster.load_model(str(path))
            return booster
        except xgboost.core.XGBoostError:
            with open(path, "rb") as file:  # of the user's own training job
                return pickle.load(file)

    @staticmethod
    def input_fn(body, content_type):
        import tempfile
        import xgboost
        if content_type in ("text/libsvm", "text/x-libsvm"):
            with tempfile.NamedTemporaryFile(suffix=".libsvm") as file:
                file.write(body)
                file.flush()
                return xgboost.DMatrix(f"{file.name}?format=libsvm")
        return xgboost.DMatrix(_rows(decoder.decode(body, content_type)))

    @staticmethod
    def predict_fn(data, model):
        import xgboost
        if isinstance(model, xgboost.Booster):
            return model.predict(data, validate_features=False)
        raise TypeError(f"model_fn returned a {type(model).__name__}; without a predict_fn it must be a Booster")


class Pytorch(Generic):

    @staticmethod
    def _device():
        import torch
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", int(os.environ.get("MILLWRIGHT_GPU") or 0) % torch.cuda.device_count())

    @classmethod
    def model_fn(cls, model_dir):
        import torch
        folder = Path(model_dir)
        found = [folder / "model.pt", folder / "model.pth"] + sorted(folder.glob("*.pt")) + sorted(folder.glob("*.pth"))
        path = next((p for p in found if p.is_file()), None)
        if path is None:
            raise NotImplementedError(f"there is no TorchScript file model.pt in the model, so {cls.needs}")
        try:
            return torch.jit.load(str(path), map_location=cls._device()).eval()
        except RuntimeError as problem:
            raise NotImplementedError(f"{path.name} is no TorchScript file ({str(problem).splitlines()[0]}), so {cls.needs}")

    @classmethod
    def input_fn(cls, body, content_type):
        import torch
        array = decoder.decode(body, content_type)
        tensor = torch.FloatTensor(array) if content_type in content_types.UTF8_TYPES else torch.from_numpy(array)
        return tensor.to(cls._device())

    @classmethod
    def predict_fn(cls, data, model):
        import torch
        model.to(cls._device())
        model.eval()
        with torch.no_grad():
            return model(data)

    @staticmethod
    def output_fn(prediction, accept):
        import torch
        if isinstance(prediction, torch.Tensor):
            prediction = prediction.detach().cpu().numpy()
        return encoder.encode(prediction, accept), accept


class Mxnet(Generic):

    @staticmethod
    def input_fn(body, content_type):
        import mxnet
        return mxnet.nd.array(decoder.decode(body, content_type))

    @staticmethod
    def predict_fn(data, model):
        return model(data) if callable(model) else model.predict(data)

    @staticmethod
    def output_fn(prediction, accept):
        array = prediction.asnumpy() if hasattr(prediction, "asnumpy") else prediction
        return encoder.encode(array, accept), accept


class Chainer(Generic):

    @staticmethod
    def input_fn(body, content_type):
        array = decoder.decode(body, content_type)
        return array.astype("float32") if content_type in content_types.UTF8_TYPES else array

    @staticmethod
    def predict_fn(data, model):
        import chainer
        with chainer.using_config("train", False), chainer.no_backprop_mode():
            return model(data)

    @staticmethod
    def output_fn(prediction, accept):
        return encoder.encode(getattr(prediction, "array", prediction), accept), accept


class SavedModel:
    """The signature "serving_default" of a SavedModel: arrays by name in, arrays by name out."""

    def __init__(self, folder):
        import tensorflow as tf
        self.loaded = tf.saved_model.load(str(folder))  # lives as long as its functions are used
        self.function = self.loaded.signatures["serving_default"]
        self.inputs = self.function.structured_input_signature[1]

    def predict(self, data):
        import tensorflow as tf
        if not isinstance(data, dict):
            data = {next(iter(self.inputs)): data}
        unknown = sorted(set(data) - set(self.inputs))
        if unknown:
            raise errors.GenericInferenceToolkitError(400, f"the model has no input {unknown[0]}; it has {', '.join(self.inputs)}")
        out = self.function(**{name: tf.constant(value, dtype=self.inputs[name].dtype) for name, value in data.items()})
        out = {name: value.numpy() for name, value in out.items()}
        return next(iter(out.values())) if len(out) == 1 else out


class Tensorflow(Generic):
    """Bodies of TensorFlow Serving: {"instances": […]} or {"inputs": …} in, {"predictions": …} out."""

    @classmethod
    def model_fn(cls, model_dir):
        import tensorflow as tf
        folder = Path(model_dir)
        saved = [path.parent for path in folder.glob("**/saved_model.pb") if "code" not in path.relative_to(folder).parts]
        if saved:
            return SavedModel(max(saved, key=lambda path: int(path.name) if path.name.isdigit() else -1))
        for pattern in ("*.keras", "*.h5"):
            for path in sorted(folder.glob(pattern)):
                return tf.keras.models.load_model(str(path))
        raise NotImplementedError(f"there is neither a SavedModel nor a Keras file in the model, so {cls.needs}")

    @staticmethod
    def input_fn(body, content_type):
        import numpy as np
        if content_type != content_types.JSON:
            return _rows(decoder.decode(body, content_type))
        document = json.loads(body)
        if not isinstance(document, dict):
            return np.array(document)
        if "instances" in document:
            rows = document["instances"]
            if rows and isinstance(rows[0], dict):
                return {name: np.array([row[name] for row in rows]) for name in rows[0]}
            return np.array(rows)
        inputs = document.get("inputs")
        if inputs is None:
            raise errors.GenericInferenceToolkitError(400, 'a JSON body has "instances" or "inputs"')
        return {k: np.array(v) for k, v in inputs.items()} if isinstance(inputs, dict) else np.array(inputs)

    @staticmethod
    def predict_fn(data, model):
        return model(data, training=False).numpy() if callable(model) else model.predict(data)

    @staticmethod
    def output_fn(prediction, accept):
        if accept != content_types.JSON:
            return encoder.encode(prediction, accept), accept
        if isinstance(prediction, dict):
            count = len(next(iter(prediction.values())))
            rows = [{name: values[i].tolist() for name, values in prediction.items()} for i in range(count)]
        else:
            rows = prediction
        return encoder.encode({"predictions": rows}, accept), accept


_BY_FRAMEWORK = {"pytorch": Pytorch, "tensorflow": Tensorflow, "mxnet": Mxnet, "chainer": Chainer,
                 "scikit-learn": ScikitLearn, "xgboost": Xgboost}


def of(framework):
    return _BY_FRAMEWORK.get(framework, Generic)
