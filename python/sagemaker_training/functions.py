"""Calling functions with the arguments they know."""
import collections
import functools
import inspect

from sagemaker_training import mapping

ArgSpec = collections.namedtuple("ArgSpec", "args varargs keywords defaults")


def getargspec(fn):
    spec = inspect.getfullargspec(fn)
    return ArgSpec(spec.args, spec.varargs, spec.varkw, spec.defaults)


def matching_args(fn, dictionary):
    """The entries that `fn` has arguments for; all of them when it takes any."""
    spec = getargspec(fn)
    return dictionary if spec.keywords else mapping.split_by_criteria(dictionary, spec.args).included


def error_wrapper(fn, error_class):
    """`fn`, with its exceptions turned into `error_class`."""

    @functools.wraps(fn)
    def wrapper(*args, **kwargs):
        try:
            return fn(*args, **kwargs)
        except Exception as problem:
            raise error_class(problem).with_traceback(problem.__traceback__)

    return wrapper
