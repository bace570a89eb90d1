"""Errors that decide the status of the answer."""
import http


class BaseInferenceToolkitError(Exception):

    def __init__(self, status_code, message, phrase):
        super().__init__(status_code, message, phrase)
        self.status_code, self.message, self.phrase = status_code, message, phrase


class GenericInferenceToolkitError(BaseInferenceToolkitError):
    """For scripts: any status with any text."""

    def __init__(self, status_code, message=None, phrase=None):
        super().__init__(status_code, "Invalid Request" if message is None else message,
                         http.HTTPStatus(status_code).phrase if phrase is None else phrase)


class UnsupportedFormatError(BaseInferenceToolkitError):

    def __init__(self, content_type):
        self.content_type = content_type
        super().__init__(http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE.value, f"Content type {content_type} is not supported.",
                         http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE.phrase)
