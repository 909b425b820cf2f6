"""What a command says when it cannot do its work."""


class CommandError(Exception):
    """One line for the person at the terminal; the command exits 1 without a traceback."""


class Unreachable(CommandError):
    """A service gave no answer at all; it may give one a moment later."""


def no_credentials(error: Exception) -> CommandError:
    """What to do where Google's libraries find no credentials, or refused ones."""
    return CommandError(
        f"no Google credentials ({type(error).__name__}): run `gcloud auth application-default login`"
    )


def one_line(error: object) -> str:
    """The first line of what an error says, or its name where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
