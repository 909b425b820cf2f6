"""One step of the curation: the state and a snapshot become rows, events and the next state."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from pmp_curation.core.changes import find_changes, status_rows
from pmp_curation.core.derivation import sensor_events
from pmp_curation.core.notices import Notice, notice
from pmp_curation.core.observation import Observed, observe
from pmp_curation.core.polls import poll_row
from pmp_curation.core.rules import DEFAULT_RULES, Rules
from pmp_curation.core.snapshot import Snapshot
from pmp_curation.core.state import Station, SystemState
from pmp_curation.core.verdicts import Doubt, has_settled, late, shrunk
from pmp_schema.gbfs import Reject
from pmp_schema.timestamps import duration_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Curated:
    """What one snapshot becomes. Rows lack `ingest_ts`: it is set just before the append.

    Attributes:
        state: for the next snapshot of the system.
        status_rows: of `station_status`.
        sensor_events: messages by `sensor_event.v1.json`.
        poll: row of `feed_polls`; None where the snapshot was seen before.
        rejects: entries that are no station.
        notices: operational events.
    """

    state: SystemState
    status_rows: list[dict[str, Any]] = field(default_factory=list)
    sensor_events: list[dict[str, Any]] = field(default_factory=list)
    poll: dict[str, Any] | None = None
    rejects: list[Reject] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


def curate(previous: SystemState | None, snapshot: Snapshot, rules: Rules = DEFAULT_RULES) -> Curated:
    """Curate the next snapshot of a system. Pure: the same arguments give the same result.

    | verdict | when | what follows |
    |---|---|---|
    | none | seen before | nothing at all |
    | `out_of_order` | its feed time is not after the last accepted one's | a poll row |
    | `suspect` | no stations, or too many missing | a poll row |
    | `unchanged` | nothing of any station differs, `last_reported` included: a frozen feed | a poll row, heartbeats |
    | `ok` | any other | a poll row, status rows, events |

    Args:
        previous: of the same system; None before its first snapshot.

    Raises:
        PoisonMessage: the payload is no JSON object with a list of stations.
        ValueError: the state is another system's.
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
    if (doubt := late(state, snapshot.feed_us)) is not None:
        return _set_aside(state, snapshot, observed, doubt)
    doubt = shrunk(state, remembered, observed, rules)
    if doubt is not None and not has_settled(state, observed, snapshot.feed_us, rules):
        return _set_aside(state, snapshot, observed, doubt)
    return _accept(state, snapshot, observed, remembered, rules, detail=doubt.detail if doubt else None)


def _remembered(state: SystemState, snapshot: Snapshot, rules: Rules) -> dict[str, Station]:
    oldest_us = snapshot.feed_us - duration_micros(rules.forget_after)
    return {key: station for key, station in state.stations.items() if station.emitted_us > oldest_us}


def _set_aside(state: SystemState, snapshot: Snapshot, observed: Observed, doubt: Doubt) -> Curated:
    poll = poll_row(snapshot, observed, verdict=doubt.verdict, changed=None, detail=doubt.detail)
    notices = []
    if doubt.verdict == "suspect":
        if not state.is_suspect:
            notices.append(notice("feed.suspect", snapshot, poll))
        since_us = snapshot.feed_us if state.shrunk_since_us is None else state.shrunk_since_us
        state = msgspec.structs.replace(
            state, is_suspect=True, shrunk_since_us=since_us if observed.stations else None
        )
    return Curated(state=state, poll=poll, rejects=observed.rejects, notices=notices)


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
    absent = stations.keys() - observed.stations.keys()
    if len(absent) > rules.max_absent:
        longest_gone = sorted(absent, key=lambda station_id: stations[station_id].emitted_us)
        for station_id in longest_gone[: -rules.max_absent or None]:
            del stations[station_id]
        absent &= stations.keys()
    return Curated(
        state=msgspec.structs.replace(
            state,
            stations=stations,
            absent=frozenset(absent),
            accepted_us=feed_us,
            is_suspect=False,
            shrunk_since_us=None,
            reports=reports,
        ),
        status_rows=status_rows(changes, snapshot),
        sensor_events=sensor_events(changes, snapshot),
        poll=poll,
        rejects=observed.rejects,
        notices=[notice("feed.recovered", snapshot, poll)] if state.is_suspect else [],
    )
