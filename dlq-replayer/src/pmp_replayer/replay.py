"""One replay, from the hold or from the table: decide, wait for the rate, publish, settle, record in the audit trail.

This order makes a kill harmless: a dead letter is settled only after its publish is confirmed. What was published and
not yet settled is published again by the next replay; the unique views count it once, because its event id is the same.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Protocol

from pmp_replayer.audit import Audit
from pmp_replayer.counts import Counts
from pmp_replayer.dead_letter import Letter
from pmp_replayer.decision import Ready, Refused, decide
from pmp_replayer.rate_limit import RateLimit
from pmp_replayer.request import ReplayRequest
from pmp_runtime.pubsub.publisher import Publisher
from pmp_schema.errors import RetryableError

MAX_BATCH: Final = 100
BATCH_S: Final = 0.5  # one publish takes at most this many seconds' worth of the rate
WATCHED_FROM: Final = 20  # the share that came back means nothing below this many replayed dead letters
MAX_FIXED: Final = 20  # examples in the report of a dry run

OUT_OF_TIME: Final = "out of time"
TOO_MANY_BACK: Final = "too many came back"


class Source(Protocol):
    """Where dead letters come from: the hold or the table."""

    def letters(self) -> Iterator[Sequence[Letter]]:
        """Each dead letter once. A batch may be empty while nothing new has arrived."""

    def settle(self, letters: Sequence[Letter]) -> None:
        """Removes published dead letters from the source.

        Raises:
            RetryableError: the source may return them again.
        """

    def came_back(self) -> int:
        """How many dead letters of this replay are known to have been given up again.

        Raises:
            RetryableError: BigQuery does not answer.
        """

    def ended_by(self) -> str | None:
        """Why `letters` ended before the last dead letter; None if it did not."""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """One run of the replayer.

    Attributes:
        out_of_time: whether the replay must end now.
    """

    id: str
    request: ReplayRequest
    source: Source
    publisher: Publisher
    rate_limit: RateLimit
    audit: Audit
    out_of_time: Callable[[], bool]

    def dry_run(self) -> Iterator[Counts]:
        """Makes the same decisions as `run`, and changes nothing.

        Yields:
            The counts, whenever they may have changed; the last ones are the result.
        """
        counts = Counts(self.id, would_replay=0)
        planned = 0
        for letters in self.source.letters():
            ready = self._decide(letters, counts, self.request.limit - planned)
            planned += len(ready)
            counts.would_replay = planned
            examples = [one.changes_as_json() for one in ready if one.changes]
            counts.fixed += examples[: MAX_FIXED - len(counts.fixed)]
            yield counts
            if planned == self.request.limit:
                break
        yield counts

    def run(self) -> Iterator[Counts]:
        """Replays what matches.

        Yields:
            The counts, about once a second and whenever they have changed; the last ones are the result.

        Raises:
            RetryableError: Pub/Sub or BigQuery does not answer; what is counted as replayed is done.
        """
        counts = Counts(self.id)
        self.audit.started(self.request)
        counts.stopped = "failed"
        try:
            yield counts
            counts.stopped = yield from self._replay(counts)
        except GeneratorExit:
            counts.stopped = "cancelled"
            raise
        except RetryableError as cause:
            counts.stopped = f"unavailable: {type(cause).__name__}"
            raise
        finally:
            self.audit.finished(counts.report())
        yield counts

    def _replay(self, counts: Counts) -> Generator[Counts, None, str | None]:
        """Returns why the replay ended early; None if it did not."""
        request = self.request
        for letters in self.source.letters():
            yield counts
            ready = self._decide(letters, counts, request.limit - counts.replayed)
            for batch in _batches(ready, request.rate_per_s):
                for _ in self.rate_limit.take(len(batch)):
                    yield counts
                    if self.out_of_time():
                        return OUT_OF_TIME
                counts.came_back = self.source.came_back()
                if (
                    counts.replayed >= WATCHED_FROM
                    and counts.came_back > request.stop_share * counts.replayed
                ):
                    return TOO_MANY_BACK
                self.publisher.publish(batch[0].topic, [one.outgoing for one in batch])
                counts.replayed += len(batch)
                self.source.settle([one.letter for one in batch])
                self.audit.replayed(batch)
                yield counts
            if counts.replayed == request.limit:
                return None
            if self.out_of_time():
                return OUT_OF_TIME
        counts.came_back = self.source.came_back()
        return self.source.ended_by()

    def _decide(self, letters: Sequence[Letter], counts: Counts, room: int) -> list[Ready]:
        """The dead letters to publish, at most `room`; later ones are not examined."""
        ready: list[Ready] = []
        for letter in letters:
            if len(ready) == room:
                break
            counts.examined += 1
            if not self.request.matches(letter):
                continue
            counts.matched += 1
            counts.by_reason[letter.reason] += 1
            decision = decide(letter, self.request, self.id)
            if isinstance(decision, Refused):
                counts.refused += 1
                counts.refused_by[decision.why] += 1
            else:
                ready.append(decision)
        return ready


def batch_size(rate_per_s: float) -> int:
    """How many dead letters one publish takes: at most what the rate allows in half a second."""
    return max(1, int(min(MAX_BATCH, rate_per_s * BATCH_S)))


def _batches(ready: Sequence[Ready], rate_per_s: float) -> Iterator[list[Ready]]:
    """Batches to publish, each for one topic."""
    size = batch_size(rate_per_s)
    for _, group in groupby(sorted(ready, key=lambda one: one.topic.id), key=lambda one: one.topic.id):
        same = list(group)
        yield from (same[start : start + size] for start in range(0, len(same), size))
