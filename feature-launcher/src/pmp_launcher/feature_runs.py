"""Starts runs by engine, waits for them, and tells what became of those that nobody told about."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from pmp_launcher.feature_run import Executor, Launch, Run
from pmp_launcher.run_events import end_of, publish, request_of, start_of
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_runtime.pubsub.publisher import Publisher
from pmp_schema.errors import RetryableError
from pmp_schema.features.runs import Engine, Wanted, read_run_id

logger = logging.getLogger(__name__)

POLL_S: Final = 1.0


class Runs:
    """Holds no state: every answer comes from the executors.

    Args:
        executors: by engine; an engine without one is not available.
        unfinished: ids of runs whose end was not told; raises RetryableError.
        wait_s: seconds that the end of a run is waited for at most.
        sleep: waits some seconds.
        monotonic: clock in seconds.
    """

    def __init__(
        self,
        executors: Mapping[Engine, Executor],
        publisher: Publisher,
        unfinished: Callable[[], Iterable[str]],
        *,
        wait_s: float,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._executors = executors
        self._publisher = publisher
        self._unfinished = unfinished
        self._wait_s = wait_s
        self._sleep = sleep
        self._monotonic = monotonic

    def start(self, wanted: Wanted) -> Launch:
        """See `Executor.start`; tells what began, and what ended meanwhile."""
        launch = self._executors[wanted.engine].start(wanted)
        if launch.is_new:
            before = end_of(launch.follows) if launch.follows else []
            run = launch.run
            publish(self._publisher, [*before, *request_of(run), *start_of(run), *end_of(run)])
            self._catch_up(run.run_id)
        return launch

    def find(self, run_id: str) -> Run | None:
        """See `Executor.find`; None also for what is no id of a run here."""
        try:
            engine, _ = read_run_id(run_id)
        except ValueError:
            return None
        executor = self._executors.get(engine)
        return executor.find(run_id) if executor else None

    def wait(self, run: Run) -> Run:
        """The run at its end, or as it is when it was waited for long enough.

        Raises:
            RetryableError: the executor does not answer, or knows the run no more.
        """
        until_s = self._monotonic() + self._wait_s
        while not run.status.has_ended and self._monotonic() < until_s:
            self._sleep(POLL_S)
            found = self.find(run.run_id)
            if found is None:
                raise RetryableError(f"{run.run_id} is not there any more")
            run = found
            if run.status.has_ended:
                publish(self._publisher, end_of(run))
        return run

    def _catch_up(self, but: str) -> None:
        """Tells the ends that a crash, or a service that was asleep, has left untold."""
        untold: list[Outgoing] = []
        try:
            for run_id in self._unfinished():
                run = self.find(run_id) if run_id != but else None
                if run is not None:
                    untold += end_of(run)
        except RetryableError as error:
            logger.warning("ends.unknown", extra={"cause": str(error)})
        publish(self._publisher, untold)
