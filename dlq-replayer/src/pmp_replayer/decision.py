"""Decides about one matching dead letter: publish it again, or refuse it with a reason. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from pmp_replayer.dead_letter import Letter
from pmp_replayer.fixes import Change, FixInapplicable, apply
from pmp_replayer.request import ReplayRequest
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_schema.dead_letters import MAX_ATTRIBUTES, REPLAY_COUNT, original_attributes
from pmp_schema.topology import TOPOLOGY, Topic

REPLAY_ID: Final = "pmp-replay-id"
# Not the attribute of the dead letter's own id: if Pub/Sub itself gives the message up again, a copy of that attribute
# would give the new dead letter the id of the old one.
REPLAY_OF: Final = "pmp-replay-of"
MAX_CHANGES: Final = 20  # listed per dead letter: a path with `*` may change thousands of places

QUARANTINED: Final = "max_replays"
FIX_INAPPLICABLE: Final = "fix_inapplicable"
UNKNOWN_TOPIC: Final = "unknown_topic"
DATA_MISSING: Final = "data_missing"
TOO_MANY_ATTRIBUTES: Final = "too_many_attributes"

_TOPICS: Final[Mapping[str, Topic]] = {
    topic.id: topic for key, topic in TOPOLOGY.topics.items() if key != "dead-letters"
}


@dataclass(frozen=True, slots=True)
class Ready:
    """A dead letter and the message to publish for it.

    Attributes:
        changes: what the fixes changed; empty without fixes.
    """

    letter: Letter
    topic: Topic
    outgoing: Outgoing
    changes: list[Change]

    def changes_as_json(self) -> dict[str, Any]:
        """The number of changes, and the first ones."""
        return {
            "id": self.letter.id,
            "changed": len(self.changes),
            "changes": [asdict(change) for change in self.changes[:MAX_CHANGES]],
        }


@dataclass(frozen=True, slots=True)
class Refused:
    """The dead letter stays where it is; `why` is one of this module's slugs."""

    why: str


def decide(letter: Letter, request: ReplayRequest, replay_id: str) -> Ready | Refused:
    """Decides about a dead letter that matches the request."""
    if letter.replay_count >= request.max_replays:
        return Refused(QUARANTINED)
    topic = _TOPICS.get(letter.source_topic or "")
    if topic is None:
        return Refused(UNKNOWN_TOPIC)
    if letter.data is None:
        return Refused(DATA_MISSING)
    attributes = original_attributes(letter.attributes) | {
        REPLAY_COUNT: str(letter.replay_count + 1),
        REPLAY_ID: replay_id,
        REPLAY_OF: letter.id,
    }
    if len(attributes) > MAX_ATTRIBUTES:
        return Refused(TOO_MANY_ATTRIBUTES)
    data, changes = letter.data, list[Change]()
    if request.fixes:
        try:
            data, changes = apply(request.fixes, data, letter.attributes)
        except FixInapplicable:
            return Refused(FIX_INAPPLICABLE)
    return Ready(letter, topic, Outgoing(data, attributes), changes)
