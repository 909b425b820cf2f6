"""Fakes of the two places where the writer puts things: they record, and fail on demand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pmp_runtime.bigquery.append.row_values import RejectedRow
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_schema.topology import Topic


@dataclass
class RecordingPublisher:
    """Attributes:
    published: (topic id, message) in order.
    fail_with: raised instead.
    """

    published: list[tuple[str, Outgoing]] = field(default_factory=list)
    fail_with: Exception | None = None

    def publish(self, topic: Topic, messages: Sequence[Outgoing]) -> list[str]:
        if self.fail_with is not None:
            raise self.fail_with
        self.published += [(topic.id, message) for message in messages]
        return [str(len(self.published) - len(messages) + n) for n in range(len(messages))]


@dataclass
class RecordingSink:
    """Attributes:
    rows: what was submitted and not rejected.
    rejects: answers for the rows of one submit.
    fail_with: raised instead.
    """

    rows: list[Any] = field(default_factory=list)
    rejects: Callable[[Sequence[Any]], list[RejectedRow]] = lambda rows: []
    fail_with: Exception | None = None

    def submit(self, rows: Sequence[Any]) -> list[RejectedRow]:
        if self.fail_with is not None:
            raise self.fail_with
        rejects = self.rejects(rows)
        bad = {id(rejected.row) for rejected in rejects}
        self.rows += [row for row in rows if id(row) not in bad]
        return rejects
