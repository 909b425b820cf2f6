"""Which runner a pipeline has, and how it runs in this process."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final, NoReturn

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult

logger = logging.getLogger(__name__)

Build = Callable[[beam.Pipeline], None]
RESTART_S: Final = 5.0
_ENDING: Final = (signal.SIGTERM, signal.SIGINT)


class Runner(StrEnum):
    """`direct` is this process; `dataflow` submits and returns."""

    DIRECT = "direct"
    DATAFLOW = "dataflow"

    @classmethod
    def parse(cls, name: str) -> "Runner":
        """`direct`, `dataflow`, or Beam's names for them.

        Raises:
            ValueError: another runner.
        """
        return cls(name.lower().removesuffix("runner"))


def run_streaming(build: Build) -> NoReturn:
    """Runs an unbounded pipeline in this process until a signal ends it.

    The direct runner gives up a pipeline after four failures of a bundle. The process then starts again with the same
    arguments. This runner acknowledges a message when it is pulled, so a pipeline that ends loses the messages in hand:
    the curation finds their snapshots in `feed_snapshots`; sensor events are lost. Dataflow acknowledges after commit.
    """
    for number in _ENDING:
        # The runner's threads cannot be stopped.
        signal.signal(number, lambda *_: _leave())
    try:
        # Not the default: that one first tries to download another runner.
        pipeline = beam.Pipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"]))
        build(pipeline)
        result = pipeline.run()
        logger.info("pipeline.started")
        result.wait_until_finish()
    except Exception:  # whatever a step raises ends the pipeline, not the service
        logger.exception("pipeline.failed", extra={"restart_s": RESTART_S})
    time.sleep(RESTART_S)
    logging.shutdown()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell, our own arguments


def run_batch(build: Build) -> PipelineResult:
    """Runs a bounded pipeline in this process to its end."""
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([]))
    build(pipeline)
    result = pipeline.run()
    result.wait_until_finish()
    return result


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within the block SIGTERM and SIGINT raise SystemExit, so that a job that was begun can be ended.

    Without a handler SIGTERM does nothing to the first process of a container.
    """

    def leave(number: int, _: object) -> NoReturn:
        raise SystemExit(signal.Signals(number).name)

    before = {number: signal.signal(number, leave) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signals_held() -> Iterator[Callable[[], None]]:
    """Within the block SIGTERM and SIGINT wait until what it gives is called, or for the block's end.

    Not by a mask, which is one thread's: a thread of Google's clients would take the signal, and Python handle it here.
    """
    came: list[int] = []
    before = {number: signal.signal(number, lambda one, _: came.append(one)) for number in _ENDING}

    def release() -> None:
        while before:
            signal.signal(*before.popitem())
        while came:
            signal.raise_signal(came.pop())

    try:
        yield release
    finally:
        release()


def _leave() -> NoReturn:
    logger.info("pipeline.stopped")
    logging.shutdown()
    os._exit(0)
