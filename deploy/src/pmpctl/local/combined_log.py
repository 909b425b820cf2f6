"""One log of a whole stack, put together from the log files of its processes."""

import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle
from typing import BinaryIO, Final

from pmpctl.local.state_folder import StateFolder

_CONSOLE_WIDTH: Final = 160
_COLOURS: Final = ("36", "33", "32", "35", "34", "31")


class CombinedLog:
    """Copies new lines of every process, with time and name before them, to the stack's log and to a console.

    The processes write their log files themselves, so that no line is lost when the supervisor is killed.

    Args:
        console: unbuffered; gets long lines shortened.
        colour: whether the console shows colours.
    """

    def __init__(
        self, state: StateFolder, names: Sequence[str], console: BinaryIO | None, *, colour: bool
    ) -> None:
        self._console = console
        self._width = max(map(len, names), default=0)
        self._colours = dict(zip(names, cycle(_COLOURS), strict=False)) if colour else {}
        self._all = state.log("stack").open("wb", buffering=0)
        self._files: dict[str, BinaryIO] = {}
        for name in names:
            state.log(name).write_bytes(b"")
            self._files[name] = state.log(name).open("rb")

    def forward(self, *, rest: bool = False) -> None:
        """Copies what is new.

        Args:
            rest: copies last lines that have no line feed, too.
        """
        for name, file in self._files.items():
            while line := file.readline():
                if not line.endswith(b"\n") and not rest:
                    file.seek(-len(line), 1)
                    break
                self.write(name, line.decode("utf-8", "replace").rstrip("\r\n"))

    def write(self, name: str, line: str) -> None:
        prefix = f"{time.strftime('%H:%M:%S')} {name.ljust(self._width)} | "
        with suppress(OSError):  # a full disk must not keep the supervisor from ending its processes
            self._all.write(f"{prefix}{line}\n".encode())
        if self._console is not None:
            colour = self._colours.get(name)
            shown = f"\033[{colour}m{prefix}\033[0m" if colour else prefix
            short = line if len(line) <= _CONSOLE_WIDTH else f"{line[:_CONSOLE_WIDTH]}..."
            try:
                self._console.write(f"{shown}{short}\n".encode())
            except OSError:
                self._console = None  # the terminal or the pipe was closed
