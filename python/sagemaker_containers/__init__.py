"""The older name of the training toolkit, as the images for Chainer, MXNet, scikit-learn and XGBoost have it."""
import sys

from sagemaker_training import content_types as _content_types
from sagemaker_training import encoders as _encoders
from sagemaker_training import entry_point
from sagemaker_training import errors as _errors
from sagemaker_training import files as _files
from sagemaker_training import functions as _functions
from sagemaker_training import logging_config as _logging
from sagemaker_training import mapping as _mapping
from sagemaker_training import modules as _modules
from sagemaker_training import params as _params
from sagemaker_training import process as _process
from sagemaker_training import runner as _runner
from sagemaker_containers import _env

# import sagemaker_containers._encoders and the like, which public scripts write.
for _name, _module in list(globals().items()):
    if _name.startswith("_") and getattr(_module, "__name__", "").startswith("sagemaker_training."):
        sys.modules[f"{__name__}.{_name}"] = _module
sys.modules[f"{__name__}.entry_point"] = entry_point

training_env = _env.training_env
