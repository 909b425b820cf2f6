"""What a command says when it cannot do its work."""


class CommandError(Exception):
    """One line for the person at the terminal; the command exits 1 without a traceback."""
