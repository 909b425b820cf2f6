"""The loop of a run, over whatever holds the letters: judge, wait for the rate, publish, settle, note.

The order is what makes a kill harmless: a letter leaves its place only once its publish is confirmed. What was
published and not yet settled is published again by the next run, and counted once, because its event id is the same.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import groupby
from typing import Final, Protocol

from pmp_replayer.bucket import Bucket
from pmp_replayer.criteria import ReplayRequest
from pmp_replayer.ledger import Ledger
from pmp_replayer.letter import Letter
from pmp_replayer.report import Tally, audit
from pmp_replayer.verdict import Ready, Refused, judge
from pmp_schema.errors import RetryableError
from pmp_schema.publisher import Publisher

MAX_BATCH: Final = 100
BATCH_S: Final = 0.5  # of the rate go into one publish
WATCHED_FROM: Final = 20  # letters replayed before their return says anything
MAX_FIXED: Final = 20  # examples in the report of a dry run

OUT_OF_TIME: Final = "out of time"
TOO_MANY_BACK: Final = "too many came back"


class Source(Protocol):
    """Where letters are."""

    def letters(self) -> Iterator[Sequence[Letter]]:
        """Each letter once; empty now and then while there is nothing new, and an end."""

    def settle(self, letters: Sequence[Letter]) -> None:
        """These letters are published, which is confirmed: nobody gets them again.

        Raises:
            RetryableError: they may be handed out again.
        """

    def came_back(self) -> int:
        """How many letters of this run are dead letters again, as far as is known.

        Raises:
            RetryableError: nobody answers.
        """

    def ended_by(self) -> str | None:
        """Why the letters ended before the last one; None where they did not."""


def plan(request: ReplayRequest, source: Source, replay_id: str) -> Iterator[Tally]:
    """A dry run: judges as a run would, and does nothing.

    Yields:
        The tally, whenever it may have changed; the last one is the result.
    """
    tally = Tally(replay_id, would_replay=0)
    planned = 0
    for letters in source.letters():
        ready = _judged(letters, request, tally, request.limit - planned)
        planned += len(ready)
        tally.would_replay = planned
        examples = [audit(one) for one in ready if one.changes]
        tally.fixed += examples[: MAX_FIXED - len(tally.fixed)]
        yield tally
        if planned == request.limit:
            break
    yield tally


def run(
    request: ReplayRequest,
    source: Source,
    publisher: Publisher,
    bucket: Bucket,
    ledger: Ledger,
    *,
    replay_id: str,
    out_of_time: Callable[[], bool],
) -> Iterator[Tally]:
    """Replays what matches.

    Yields:
        The tally, about once a second and whenever it has changed; the last one is the result.

    Raises:
        RetryableError: Pub/Sub or BigQuery does not answer; what the tally counts as replayed is done.
    """
    tally = Tally(replay_id)
    ledger.started(request.as_json())
    tally.stopped = "failed"
    try:
        yield tally
        tally.stopped = yield from _replay(request, source, publisher, bucket, ledger, tally, out_of_time)
    except GeneratorExit:
        tally.stopped = "cancelled"
        raise
    except RetryableError as cause:
        tally.stopped = f"unavailable: {type(cause).__name__}"
        raise
    finally:
        ledger.finished(tally.report())
    yield tally


def _replay(
    request: ReplayRequest,
    source: Source,
    publisher: Publisher,
    bucket: Bucket,
    ledger: Ledger,
    tally: Tally,
    out_of_time: Callable[[], bool],
) -> Generator[Tally, None, str | None]:
    """Returns why the run stopped, None where it came to its end."""
    for letters in source.letters():
        yield tally
        ready = _judged(letters, request, tally, request.limit - tally.replayed)
        for batch in _batches(ready, request.rate_per_s):
            for _ in bucket.take(len(batch)):
                yield tally
                if out_of_time():
                    return OUT_OF_TIME
            tally.came_back = source.came_back()
            if tally.replayed >= WATCHED_FROM and tally.came_back > request.stop_share * tally.replayed:
                return TOO_MANY_BACK
            publisher.publish(batch[0].topic, [one.outgoing for one in batch])
            tally.replayed += len(batch)
            source.settle([one.letter for one in batch])
            ledger.replayed(batch)
            yield tally
        if tally.replayed == request.limit:
            return None
        if out_of_time():
            return OUT_OF_TIME
    tally.came_back = source.came_back()
    return source.ended_by()


def _judged(letters: Sequence[Letter], request: ReplayRequest, tally: Tally, room: int) -> list[Ready]:
    """The letters to publish, `room` of them at most; what comes after those is not looked at."""
    ready: list[Ready] = []
    for letter in letters:
        if len(ready) == room:
            break
        tally.examined += 1
        if not request.matches(letter):
            continue
        tally.matched += 1
        tally.by_reason[letter.reason] += 1
        verdict = judge(letter, request, tally.replay_id)
        if isinstance(verdict, Refused):
            tally.refused += 1
            tally.refused_by[verdict.why] += 1
        else:
            ready.append(verdict)
    return ready


def batch_size(rate_per_s: float) -> int:
    """How many letters go out together: no more than the rate gives in half a second."""
    return max(1, int(min(MAX_BATCH, rate_per_s * BATCH_S)))


def _batches(ready: Sequence[Ready], rate_per_s: float) -> Iterator[list[Ready]]:
    """What goes out together: one topic's."""
    size = batch_size(rate_per_s)
    for _, group in groupby(sorted(ready, key=lambda one: one.topic.id), key=lambda one: one.topic.id):
        same = list(group)
        yield from (same[start : start + size] for start in range(0, len(same), size))
