"""The loop of a run, over whatever holds the letters: decide, wait for the rate, publish, settle, note.

The order is what makes a kill harmless: a letter leaves its place only once its publish is confirmed. What was
published and not yet settled is published again by the next run, and counted once, because its event id is the same.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import groupby
from typing import Final, Protocol

from pmp_replayer.bucket import Bucket
from pmp_replayer.criteria import ReplayRequest
from pmp_replayer.decision import Ready, Refused, decide
from pmp_replayer.ledger import Ledger
from pmp_replayer.letter import Letter
from pmp_replayer.report import Counts, audit
from pmp_runtime.pubsub.publisher import Publisher
from pmp_schema.errors import RetryableError

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


def plan(request: ReplayRequest, source: Source, replay_id: str) -> Iterator[Counts]:
    """A dry run: decides as a run would, and does nothing.

    Yields:
        The counts, whenever they may have changed; the last are the result.
    """
    counts = Counts(replay_id, would_replay=0)
    planned = 0
    for letters in source.letters():
        ready = _decided(letters, request, counts, request.limit - planned)
        planned += len(ready)
        counts.would_replay = planned
        examples = [audit(one) for one in ready if one.changes]
        counts.fixed += examples[: MAX_FIXED - len(counts.fixed)]
        yield counts
        if planned == request.limit:
            break
    yield counts


def run(
    request: ReplayRequest,
    source: Source,
    publisher: Publisher,
    bucket: Bucket,
    ledger: Ledger,
    *,
    replay_id: str,
    out_of_time: Callable[[], bool],
) -> Iterator[Counts]:
    """Replays what matches.

    Yields:
        The counts, about once a second and whenever they have changed; the last are the result.

    Raises:
        RetryableError: Pub/Sub or BigQuery does not answer; what counts as replayed is done.
    """
    counts = Counts(replay_id)
    ledger.started(request.as_json())
    counts.stopped = "failed"
    try:
        yield counts
        counts.stopped = yield from _replay(request, source, publisher, bucket, ledger, counts, out_of_time)
    except GeneratorExit:
        counts.stopped = "cancelled"
        raise
    except RetryableError as cause:
        counts.stopped = f"unavailable: {type(cause).__name__}"
        raise
    finally:
        ledger.finished(counts.report())
    yield counts


def _replay(
    request: ReplayRequest,
    source: Source,
    publisher: Publisher,
    bucket: Bucket,
    ledger: Ledger,
    counts: Counts,
    out_of_time: Callable[[], bool],
) -> Generator[Counts, None, str | None]:
    """Returns why the run stopped, None where it came to its end."""
    for letters in source.letters():
        yield counts
        ready = _decided(letters, request, counts, request.limit - counts.replayed)
        for batch in _batches(ready, request.rate_per_s):
            for _ in bucket.take(len(batch)):
                yield counts
                if out_of_time():
                    return OUT_OF_TIME
            counts.came_back = source.came_back()
            if counts.replayed >= WATCHED_FROM and counts.came_back > request.stop_share * counts.replayed:
                return TOO_MANY_BACK
            publisher.publish(batch[0].topic, [one.outgoing for one in batch])
            counts.replayed += len(batch)
            source.settle([one.letter for one in batch])
            ledger.replayed(batch)
            yield counts
        if counts.replayed == request.limit:
            return None
        if out_of_time():
            return OUT_OF_TIME
    counts.came_back = source.came_back()
    return source.ended_by()


def _decided(letters: Sequence[Letter], request: ReplayRequest, counts: Counts, room: int) -> list[Ready]:
    """The letters to publish, `room` of them at most; what comes after those is not looked at."""
    ready: list[Ready] = []
    for letter in letters:
        if len(ready) == room:
            break
        counts.examined += 1
        if not request.matches(letter):
            continue
        counts.matched += 1
        counts.by_reason[letter.reason] += 1
        decision = decide(letter, request, counts.replay_id)
        if isinstance(decision, Refused):
            counts.refused += 1
            counts.refused_by[decision.why] += 1
        else:
            ready.append(decision)
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
