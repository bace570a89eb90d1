"""Errors of the toolkit, as scripts catch them."""


class ClientError(Exception):
    """The user's code or data is at fault."""


class _CalledProcessError(ClientError):
    """A command ended with an exit code other than 0."""

    def __init__(self, cmd, return_code=None, output=None, info=None):
        super().__init__()
        self.return_code = str(return_code)
        self.cmd = cmd
        self.output = output
        self.extra_info = info

    def __str__(self):
        output = self.output.decode("utf-8", "replace") if isinstance(self.output, bytes) else self.output or ""
        lines = [f"{type(self).__name__}:", f"ExitCode {self.return_code}", f'ErrorMessage "{output}"']
        if self.extra_info is not None:
            lines.append(f'ExtraInfo "{self.extra_info}"')
        return "\n".join(lines + [f'Command "{self.cmd}"'])


class InstallModuleError(_CalledProcessError):
    """A package could not be installed."""


class InstallRequirementsError(_CalledProcessError):
    """requirements.txt could not be installed."""


class ExecuteUserScriptError(_CalledProcessError):
    """The script failed."""


class ImportModuleError(ClientError):
    """A module could not be imported."""


class ChannelDoesNotExistError(Exception):
    def __init__(self, channel_name):
        super().__init__(f"Channel {channel_name} is not a valid channel")


ChannelDoesNotExistException = ChannelDoesNotExistError


class UnsupportedFormatError(Exception):
    def __init__(self, content_type, **kwargs):
        self.message = (f"Content type {content_type} is not supported by this framework.\n\nPlease implement input_fn to "
                        "deserialize the request data or an output_fn to serialize the response.")
        super().__init__(self.message, **kwargs)
