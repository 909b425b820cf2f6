"""Runs the processes of a stack until one of them ends, on honcho; leaves none behind."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

import honcho.manager
from honcho.printer import Message, Printer

from pmpctl.local.processes import ProcessSpec

# Longer than gunicorn's graceful time-out, so that requests in hand are finished before anything is killed.
honcho.manager.KILL_WAIT = 12
_CONSOLE_WIDTH: Final = 160
_ALL: Final = "stack"


class LogPrinter(Printer):  # type: ignore[misc]
    """Writes each process's lines to its own log file, and all of them, shortened, to the console.

    Files are unbuffered: honcho prints in signal handlers too, where a buffered file refuses to be re-entered.
    """

    def __init__(self, logs: Path, console: BinaryIO | None, *, colour: bool) -> None:
        super().__init__(output=None, colour=colour)
        self._colours_supported = colour
        self._logs = logs
        self._console = console
        self._files: dict[str, BinaryIO] = {}

    def write(self, message: Message) -> None:
        data = message.data
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        for line in text.splitlines():
            prefix = f"{message.time:%H:%M:%S} {message.name.ljust(self.width)} | "
            self._to_file(message.name, line)
            self._to_file(_ALL, prefix + line)
            if self._console is not None:
                short = line if len(line) <= _CONSOLE_WIDTH else f"{line[:_CONSOLE_WIDTH]}..."
                self._console.write(f"{self._coloured(message.colour, prefix)}{short}\n".encode())

    def _coloured(self, colour: str | None, prefix: str) -> str:
        return f"\033[{colour}m{prefix}\033[0m" if colour and self.colour else prefix

    def _to_file(self, name: str, line: str) -> None:
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = (self._logs / f"{name}.log").open("wb", buffering=0)
        file.write(f"{line}\n".encode())


class Supervisor(honcho.manager.Manager):  # type: ignore[misc]
    """honcho's manager, with four differences.

    Work of its own begins only after the processes are forked; a signal that arrives before all processes
    have started is kept until they have; some processes are ended last; and what still lives in a process
    group at the end is killed.
    """

    def __init__(
        self,
        specs: tuple[ProcessSpec, ...],
        env: dict[str, str],
        cwd: Path,
        printer: Printer,
        *,
        on_forked: Callable[[], None],
        on_started: Callable[[str, int], None],
    ) -> None:
        super().__init__(printer)
        self._last = {spec.name for spec in specs if spec.stops_last}
        self._on_forked = on_forked
        self._on_started = on_started
        self._announced: set[str] = set()
        self._requested = False
        self._rest_ended = False
        self.failed = False
        self.first_stopped: tuple[str, int] | None = None
        for spec in specs:
            self.add_process(spec.name, spec.command, env={**env, **spec.env}, cwd=str(cwd))

    def run(self) -> int:
        """Blocks until every process has ended; all end with the first.

        Returns:
            130 or 143 after SIGINT or SIGTERM, else the code of the process that ended first.
        """
        try:
            self.loop()
        finally:
            self._sweep()
        return int(self.returncode or 0)

    def fail(self) -> None:
        """Ends the stack from another thread, unless a signal or a process has ended it already."""
        if not self._requested:
            self.failed = True
            self.returncode = 1
            self.terminate()

    def terminate(self) -> None:
        # Called by signal handlers and other threads too: the loop's next turn does the work.
        self._requested = True

    def _start(self) -> None:
        super()._start()
        self._on_forked()

    def _all_started(self) -> bool:
        for name, process in self._processes.items():
            if process.get("pid") is not None and name not in self._announced:
                self._announced.add(name)
                self._on_started(name, process["pid"])
        started = bool(super()._all_started())
        if started and self._requested and not self._terminating:
            super().terminate()
        return started

    def _any_stopped(self) -> bool:
        stopped = {n: p["returncode"] for n, p in self._processes.items() if p.get("returncode") is not None}
        if stopped and not self._requested:
            self.first_stopped = next(iter(stopped.items()))
        # While terminating, the kill clock runs even if nothing has stopped yet.
        return bool(stopped) or self._terminating

    def _all_stopped(self) -> bool:
        running = {n for n, p in self._processes.items() if p.get("returncode") is None}
        if self._terminating and not self._rest_ended and running <= self._last:
            self._rest_ended = True
            self._signal(running, signal.SIGTERM)
        return not running

    def _killall(self, force: bool = False) -> None:
        if force:
            self._signal(set(self._processes), signal.SIGKILL)
            return
        rest = set(self._processes) - self._last
        self._signal(rest, signal.SIGTERM)

    def _signal(self, names: set[str], number: signal.Signals) -> None:
        for name, process in self._processes.items():
            if name in names and process.get("pid") is not None and process.get("returncode") is None:
                self._system_print(f"{number.name} to {name}\n")
                _signal_group(process["pid"], number)

    def _sweep(self) -> None:
        for process in self._processes.values():
            if process.get("pid") is not None:
                _signal_group(process["pid"], signal.SIGKILL)


def _signal_group(group: int, number: signal.Signals) -> None:
    # A group that is gone has nothing left to end.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
