"""Whether a snapshot may change what is known of its system."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pmp_curation.core.inputs import Rules
from pmp_curation.core.observation import Observed
from pmp_curation.core.state import Station, SystemState
from pmp_schema.timestamps import duration_micros, format_timestamp, from_micros


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision about a snapshot; one with `ok` is accepted.

    Attributes:
        detail: one line for a person; also for a snapshot that is accepted although it shrank.
    """

    name: Literal["ok", "suspect", "out_of_order"]
    detail: str | None = None


def judge(
    state: SystemState, remembered: Mapping[str, Station], observed: Observed, feed_us: int, rules: Rules
) -> Verdict:
    """Decides about a snapshot that was not seen before.

    Args:
        remembered: the stations of the state that are not forgotten.
    """
    if (detail := _why_late(state, feed_us)) is not None:
        return Verdict("out_of_order", detail)
    detail = _why_shrunk(state, remembered, observed, rules)
    if detail is None or _has_stayed_shrunk(state, observed, feed_us, rules):
        return Verdict("ok", detail)
    return Verdict("suspect", detail)


def _why_late(state: SystemState, feed_us: int) -> str | None:
    """The feed time must be after that of the last accepted snapshot.

    The same time with another body is a frozen clock. It cannot be accepted, because the feed time is part of the
    identity of a station's rows and rides. What moved meanwhile is derived when the clock goes on.
    """
    if state.accepted_us is None or feed_us > state.accepted_us:
        return None
    if feed_us == state.accepted_us:
        return "the feed time is that of the last accepted snapshot, the body is not"
    return f"{format_timestamp(from_micros(state.accepted_us))} was accepted before"


def _why_shrunk(
    state: SystemState, remembered: Mapping[str, Station], observed: Observed, rules: Rules
) -> str | None:
    """A snapshot must list stations, and most of those that the last accepted one listed."""
    if not observed.stations:
        return "no stations"
    listed = remembered.keys() - state.absent
    missing = len(listed - observed.stations.keys())
    if not listed or missing / len(listed) <= rules.missing_share:
        return None
    return f"{missing} of {len(listed)} stations are missing"


def _has_stayed_shrunk(state: SystemState, observed: Observed, feed_us: int, rules: Rules) -> bool:
    """Whether the feed has been shrunk, but never empty, for so long that this is how it is now."""
    since_us = state.shrunk_since_us
    return (
        bool(observed.stations)
        and since_us is not None
        and feed_us - since_us >= duration_micros(rules.shrunk_for)
    )
