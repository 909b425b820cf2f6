"""Whether a snapshot may change what is known of its system."""

from collections.abc import Mapping
from dataclasses import dataclass

from pmp_curation.core.observation import Observed
from pmp_curation.core.rules import Rules
from pmp_curation.core.state import Station, SystemState
from pmp_schema.timestamps import duration_micros, format_timestamp, from_micros


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a snapshot is set aside.

    Attributes:
        verdict: `suspect` or `out_of_order`.
        detail: one line for a person.
    """

    verdict: str
    detail: str


def late(state: SystemState, feed_us: int) -> Doubt | None:
    """A snapshot whose feed time is not after that of the last accepted one.

    The same time with another body is a frozen clock. It cannot be accepted, because rows and derived events of a
    station are told apart by the feed time; what moved meanwhile is derived when the clock goes on.
    """
    if state.accepted_us is None or feed_us > state.accepted_us:
        return None
    if feed_us == state.accepted_us:
        return Doubt("out_of_order", "the feed time is that of the last accepted snapshot, the body is not")
    return Doubt("out_of_order", f"{format_timestamp(from_micros(state.accepted_us))} was accepted before")


def shrunk(
    state: SystemState, remembered: Mapping[str, Station], observed: Observed, rules: Rules
) -> Doubt | None:
    """A snapshot without stations, or without too many of those that the last accepted one listed."""
    if not observed.stations:
        return Doubt("suspect", "no stations")
    listed = remembered.keys() - state.absent
    missing = len(listed - observed.stations.keys())
    if not listed or missing / len(listed) <= rules.missing_share:
        return None
    return Doubt("suspect", f"{missing} of {len(listed)} stations are missing")


def has_settled(state: SystemState, observed: Observed, feed_us: int, rules: Rules) -> bool:
    """Whether a feed has been shrunk for so long that this is how it is now. Never so for an empty one."""
    since_us = state.shrunk_since_us
    return (
        bool(observed.stations)
        and since_us is not None
        and feed_us - since_us >= duration_micros(rules.shrunk_for)
    )
