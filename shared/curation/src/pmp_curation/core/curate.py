"""One step of the curation: the state and a snapshot become rows, rides and the next state."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from pmp_curation.core.changes import find_changes, status_rows
from pmp_curation.core.inputs import DEFAULT_RULES, Rules, Snapshot
from pmp_curation.core.observation import Observed, observe
from pmp_curation.core.polls import FeedEvent, feed_event, poll_row
from pmp_curation.core.rides import derive_rides
from pmp_curation.core.state import Station, SystemState
from pmp_curation.core.verdicts import Verdict, judge
from pmp_schema.gbfs import RejectedStation
from pmp_schema.timestamps import duration_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Curated:
    """What one snapshot becomes. Rows lack `ingest_ts`: it is set just before the append.

    Attributes:
        state: for the next snapshot of the system.
        status_rows: of `station_status`.
        rides: sensor events, by `sensor_event.v1.json`.
        poll: row of `feed_polls`; None where the snapshot was seen before.
        rejected: entries of the body that cannot be used as a station.
        feed_events: ops events about the feed.
    """

    state: SystemState
    status_rows: list[dict[str, Any]] = field(default_factory=list)
    rides: list[dict[str, Any]] = field(default_factory=list)
    poll: dict[str, Any] | None = None
    rejected: list[RejectedStation] = field(default_factory=list)
    feed_events: list[FeedEvent] = field(default_factory=list)


def curate(previous: SystemState | None, snapshot: Snapshot, rules: Rules = DEFAULT_RULES) -> Curated:
    """Curates the next snapshot of a system. Pure: the same arguments give the same result.

    | verdict | when | result |
    |---|---|---|
    | none | seen before | nothing at all |
    | `out_of_order` | its feed time is not after the last accepted one's | a poll row |
    | `suspect` | no stations, or too many missing | a poll row |
    | `unchanged` | nothing of any station differs, `last_reported` included: a frozen feed | a poll row, heartbeats |
    | `ok` | any other | a poll row, status rows, rides |

    Args:
        previous: of the same system; None before its first snapshot.

    Raises:
        PoisonMessage: the payload is not a JSON object with a list of stations.
        ValueError: the state belongs to another system.
    """
    state = previous or SystemState(system_id=snapshot.system_id)
    if state.system_id != snapshot.system_id:
        raise ValueError(f"the state of {state.system_id} cannot take a snapshot of {snapshot.system_id}")
    if state.has_seen(snapshot.event_id):
        return Curated(state=state)
    observed = observe(snapshot.payload, snapshot.ingest_ts)
    state = msgspec.structs.replace(
        state, events=state.events_with(snapshot.event_id, rules.remembered_events)
    )
    remembered = _remembered(state, snapshot, rules)
    verdict = judge(state, remembered, observed, snapshot.feed_us, rules)
    if verdict.name != "ok":
        return _set_aside(state, snapshot, observed, verdict)
    return _accept(state, snapshot, observed, remembered, rules, detail=verdict.detail)


def _remembered(state: SystemState, snapshot: Snapshot, rules: Rules) -> dict[str, Station]:
    oldest_us = snapshot.feed_us - duration_micros(rules.forget_after)
    return {key: station for key, station in state.stations.items() if station.emitted_us > oldest_us}


def _set_aside(state: SystemState, snapshot: Snapshot, observed: Observed, verdict: Verdict) -> Curated:
    poll = poll_row(snapshot, observed, verdict=verdict.name, changed=None, detail=verdict.detail)
    feed_events = []
    if verdict.name == "suspect":
        if not state.is_suspect:
            feed_events.append(feed_event("feed.suspect", snapshot, poll))
        since_us = snapshot.feed_us if state.shrunk_since_us is None else state.shrunk_since_us
        state = msgspec.structs.replace(
            state, is_suspect=True, shrunk_since_us=since_us if observed.stations else None
        )
    return Curated(state=state, poll=poll, rejected=observed.rejected, feed_events=feed_events)


def _accept(
    state: SystemState,
    snapshot: Snapshot,
    observed: Observed,
    remembered: dict[str, Station],
    rules: Rules,
    *,
    detail: str | None,
) -> Curated:
    feed_us = snapshot.feed_us
    changes = find_changes(remembered, observed, due_us=feed_us - duration_micros(rules.heartbeat))
    changed = sum(change.cause != "heartbeat" for change in changes)
    reports = observed.reports
    is_frozen = not changed and state.reports == reports
    poll = poll_row(
        snapshot, observed, verdict="unchanged" if is_frozen else "ok", changed=changed, detail=detail
    )
    stations = remembered | {change.station_id: change.after(feed_us) for change in changes}
    absent = _absent(stations, observed, rules)
    for forgotten in stations.keys() - observed.stations.keys() - absent:
        del stations[forgotten]
    return Curated(
        state=msgspec.structs.replace(
            state,
            stations=stations,
            absent=absent,
            accepted_us=feed_us,
            is_suspect=False,
            shrunk_since_us=None,
            reports=reports,
        ),
        status_rows=status_rows(changes, snapshot),
        rides=derive_rides(changes, snapshot),
        poll=poll,
        rejected=observed.rejected,
        feed_events=[feed_event("feed.recovered", snapshot, poll)] if state.is_suspect else [],
    )


def _absent(stations: dict[str, Station], observed: Observed, rules: Rules) -> frozenset[str]:
    """The stations that the snapshot does not list; of too many those that were gone last."""
    absent = stations.keys() - observed.stations.keys()
    if len(absent) > rules.max_absent:
        latest_first = sorted(absent, key=lambda key: stations[key].emitted_us, reverse=True)
        absent = set(latest_first[: rules.max_absent])
    return frozenset(absent)
