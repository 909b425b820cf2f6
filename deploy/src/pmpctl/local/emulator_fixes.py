"""Works around four faults of bqemulator 1.4 that a long-running local stack meets.

1. REST queries run on the event loop's thread, Storage API calls on gRPC's threads, over one DuckDB connection. Two
   statements at a time exchange results or deadlock. Here every statement runs on the event loop's thread.
2. After every change of a table the whole table is copied, for `FOR SYSTEM_TIME AS OF`, and the copies are kept for
   days. Nothing here travels in time, so nothing is copied.
3. The rows of every read session are kept for ever. Here those of the newest sessions are.
4. Every open append stream occupies one of asyncio's default threads, of which there are processors + 4: on two
   processors the seventh waits for ever. Here there are 64.

Each can go when the emulator no longer needs it. Without 1 the e2e test that kills the writer under load fails,
without 4 tests/integration/deploy/test_emulator_fixes.py; 2 and 3 only save time and memory.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from bqemulator.grpc_api import read_servicer
from bqemulator.grpc_api.write_servicer import BigQueryWriteHandler
from bqemulator.server import EmulatorServer
from bqemulator.storage.engine import DuckDBEngine
from bqemulator.streaming import read_session
from bqemulator.versioning.snapshots import SnapshotManager

T = TypeVar("T")
_LONGEST_STATEMENT_S: Final = 300.0
_READ_SESSIONS: Final = 32
_CONNECTIONS: Final = 64


class _LoopThread:
    """The thread of the emulator's event loop, and a way to run there."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0

    def enter(self) -> None:
        """Takes the running loop; called on its thread."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(_CONNECTIONS))
        self._thread = threading.get_ident()

    def run(self, engine: DuckDBEngine, work: Callable[[], T]) -> T:
        """Runs work on the loop's thread, between other statements."""
        if self._loop is None or threading.get_ident() == self._thread:
            return work()

        async def locked() -> T:
            async with engine.write_lock():
                return work()

        return asyncio.run_coroutine_threadsafe(locked(), self._loop).result(_LONGEST_STATEMENT_S)


def apply() -> None:
    """Patches the emulator in this process; call it once, before the emulator starts."""
    loop_thread = _LoopThread()
    start = EmulatorServer.start
    flush = BigQueryWriteHandler._flush_to_target  # noqa: SLF001 - there is no public seam
    fetch = DuckDBEngine.fetch_arrow
    capture = SnapshotManager.capture
    create = read_session.create_read_session

    async def start_and_enter(self: EmulatorServer) -> None:
        loop_thread.enter()
        await start(self)

    def flush_on_loop(self: BigQueryWriteHandler, *args: Any) -> None:
        loop_thread.run(self._ctx.engine, lambda: flush(self, *args))

    def fetch_on_loop(self: DuckDBEngine, *args: Any) -> Any:
        return loop_thread.run(self, lambda: fetch(self, *args))

    def capture_by_statement(self: SnapshotManager, *args: str, kind: str = "AUTO") -> Any:
        return None if kind == "AUTO" else capture(self, *args, kind=kind)

    def create_among_few(*args: Any, **kwargs: Any) -> Any:
        sessions = read_session._SESSIONS  # noqa: SLF001
        while len(sessions) >= _READ_SESSIONS:
            sessions.pop(next(iter(sessions)), None)
        return create(*args, **kwargs)

    for owner, name, method in (
        (EmulatorServer, "start", start_and_enter),
        (BigQueryWriteHandler, "_flush_to_target", flush_on_loop),
        (DuckDBEngine, "fetch_arrow", fetch_on_loop),
        (SnapshotManager, "capture", capture_by_statement),
        (read_servicer, "create_read_session", create_among_few),
    ):
        setattr(owner, name, method)
