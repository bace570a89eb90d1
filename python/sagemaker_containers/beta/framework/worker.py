"""Responses of scripts that also serve. A training job only imports this; serving needs flask."""
from sagemaker_training import content_types

try:
    import flask
except ImportError:
    flask = None

if flask is None:

    class Response:
        """What output_fn returns, without a web framework: the same members, nothing more."""

        default_mimetype = content_types.JSON

        def __init__(self, response=None, accept=None, status=200, headers=None, mimetype=None, direct_passthrough=False):
            self.response, self.status_code = response, int(status)
            self.headers, self.mimetype = dict(headers or {}), mimetype or self.default_mimetype
            self.direct_passthrough = direct_passthrough

        def get_data(self, as_text=False):
            body = self.response if isinstance(self.response, bytes) else str(self.response or "").encode()
            return body.decode() if as_text else body

else:

    class Response(flask.Response):
        default_mimetype = content_types.JSON

        def __init__(self, response=None, accept=None, status=200, headers=None, mimetype=None, direct_passthrough=False):
            super().__init__(response, status, headers, mimetype, None, direct_passthrough)


def default_healthcheck_fn():
    return Response(status=200)
