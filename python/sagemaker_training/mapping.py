"""Dictionaries as variables and as command lines."""
import collections
import collections.abc
import json

SplitResultSpec = collections.namedtuple("SplitResultSpec", "included excluded")


def _text(value):
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("latin1")
    return str(value)


def to_env_vars(mapping):
    """{"batch_size": 25} -> {"SM_BATCH_SIZE": "25"}; what is no text becomes compact JSON."""

    def value_of(value):
        if value is None or isinstance(value, (str, bytes)):
            return _text(value)
        return json.dumps(value, sort_keys=True, separators=(",", ":"))

    return {f"SM_{key}".upper() if key else "": value_of(value) for key, value in mapping.items()}


def to_cmd_args(mapping):
    """{"epochs": 2, "b": None} -> ["-b", "", "--epochs", "2"]"""
    arguments = []
    for key in sorted(mapping):
        name, value = _text(key), mapping[key]
        if hasattr(value, "items"):
            value = ",".join(f"{k}={v}" for k, v in sorted(value.items()))
        arguments += [("--" if len(name) > 1 else "-") + name if name else "", _text(value)]
    return arguments


def split_by_criteria(dictionary, keys=None, prefix=None):
    """Two dictionaries: entries whose name is among `keys` or begins with `prefix`, and the rest."""
    chosen = set(keys or ())
    included = {k: v for k, v in dictionary.items() if k in chosen or (prefix and k.startswith(prefix))}
    return SplitResultSpec(included=included, excluded={k: v for k, v in dictionary.items() if k not in included})


class MappingMixin(collections.abc.Mapping):
    """Makes the properties of a class entries of a dictionary."""

    def properties(self):
        return [name for name in dir(type(self)) if isinstance(getattr(type(self), name), property)]

    def __getitem__(self, name):
        if name not in self.properties():
            raise KeyError(f"Trying to access non property {name}")
        return getattr(self, name)

    def __len__(self):
        return len(self.properties())

    def __iter__(self):
        return iter(self.properties())

    def __str__(self):
        return str(dict(self))
