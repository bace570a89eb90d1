"""Defaults of the four functions of an inference script."""
from sagemaker_containers.beta.framework import worker
from sagemaker_training import encoders


def default_model_fn(model_dir):
    raise NotImplementedError("Please provide a model_fn implementation.")


def default_input_fn(input_data, content_type):
    return encoders.decode(input_data, content_type)


def default_predict_fn(data, model):
    raise NotImplementedError("Please provide a predict_fn implementation.")


def default_output_fn(prediction, accept):
    return worker.Response(encoders.encode(prediction, accept), mimetype=accept)
