"""The watcher of one attempt: waits for its turn, runs the process, notes and tells how it ended."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from signal import Signals

from pmp_launcher.local import locks
from pmp_launcher.local.folder import Attempt, End, Request, Start
from pmp_launcher.run_events import end_of, start_of
from pmp_runtime.processes import ProcessId
from pmp_runtime.pubsub.outgoing import Outgoing

Tell = Callable[[Sequence[Outgoing]], None]


class Stopped(Exception):
    """The watcher was asked to end, by a signal."""


def watch(
    attempt: Attempt,
    request: Request,
    command: Sequence[str],
    *,
    turn: Path,
    alive: int,
    deadline_s: float,
    tell: Tell,
    now: Callable[[], datetime],
) -> None:
    """Runs a command to its end, however it ends.

    The process inherits both locks: as long as it lives, whether it is watched or not, the attempt is alive and no
    other has its turn.

    Args:
        request: that the attempt is for.
        turn: file whose lock is waited for.
        alive: descriptor of the attempt's lock.
        deadline_s: seconds after which the process is killed.
    """
    try:
        with locks.held(turn) as its_turn, _process(command, (alive, its_turn)) as process:
            attempt.save(Start(at=now(), process=ProcessId.of(process.pid)))
            tell(start_of(attempt.run(request, now())))
            error = _reason(process.wait(deadline_s))
    except subprocess.TimeoutExpired:
        error = f"deadline of {deadline_s:g} s"
    except OSError as cause:
        error = f"could not be started: {cause.strerror}"
    except Stopped:
        error = "stopped"
    attempt.save(End(at=now(), error=error))
    tell(end_of(attempt.run(request, now())))


@contextmanager
def _process(command: Sequence[str], inherited: tuple[int, ...]) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that does not outlive the block."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=inherited)
    try:
        yield process
    finally:
        process.kill()  # does nothing to one that has ended
        process.wait()


def _reason(code: int) -> str | None:
    if code == 0:
        return None
    return f"killed by {Signals(-code).name}" if code < 0 else f"exit code {code}; see its output.log"
