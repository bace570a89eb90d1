"""Prints, as JSON, what the pip of this machine and user would use. Run outside of runs, as the user of the server."""
import glob
import json
import os
import platform
import sys

try:
    import pip  # noqa: F401
except ImportError:
    import ensurepip
    bundled = os.path.join(os.path.dirname(ensurepip.__file__), "_bundled", "pip-*.whl")
    wheels = glob.glob("/usr/share/python-wheels/pip-*.whl") + glob.glob(bundled)
    sys.path.insert(0, wheels[0])

from pip._internal.configuration import Configuration
from pip._internal.models.index import PyPI

configuration = Configuration(isolated=False)
configuration.load()
print(json.dumps({
    "python": "%d.%d" % sys.version_info[:2],
    "machine": platform.machine(),
    "configuration": [[key, value] for key, value in configuration.items()],
    "index": PyPI.simple_url,
    "files": PyPI.file_storage_domain,
}))
