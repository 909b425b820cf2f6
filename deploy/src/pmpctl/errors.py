"""Errors that a command prints as one line."""


class CommandError(Exception):
    """Printed as one line; the command exits 1 without a traceback."""


class Unreachable(CommandError):
    """A service did not answer; it may answer a moment later."""


def no_credentials(error: Exception) -> CommandError:
    """The error for missing or refused credentials."""
    return CommandError(
        f"no Google credentials ({type(error).__name__}): run `gcloud auth application-default login`"
    )


def one_line(error: object) -> str:
    """The first line of an error's message, or its type if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
