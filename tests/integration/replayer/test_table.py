"""The dead-letter table's queries on the BigQuery emulator, and replays from it."""

import base64
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from pmp_replayer.dead_letter import from_row
from pmp_replayer.dead_letter_table import DeadLetterTable
from pmp_replayer.hold import HOLD
from pmp_replayer.request import ReplayRequest
from pmp_schema import tables

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC).replace(microsecond=0)


def row(n, **fields):
    plain = {
        "dead_letter_id": f"dl-{n}",
        "reason": "schema",
        "detail": "d",
        "source_topic": "pmp-sensor-events",
        "system_id": None,
        "data": base64.b64encode(b'{"delta":"%d"}' % n).decode(),
        "attributes": json.dumps({"ce-id": f"e-{n}"}),
        "original_message_id": f"m-{n}",
        "original_publish_ts": "2026-01-01T00:00:00Z",
        "replay_count": 0,
        "dead_lettered_ts": NOW.isoformat(),
    }
    return plain | fields


def insert(project, table, rows):
    """Rows by the REST API, as a stand-in for the writer."""
    name = f"{project.id}.{tables.table(table).id}"
    assert project.clients.bigquery.insert_rows_json(name, rows, timeout=20) == []


def note_replayed(project, letters, replay_id="r-0"):
    event = {
        "event_id": replay_id,
        "type": "replay.letters",
        "time": NOW.isoformat(),
        "data": json.dumps({"replay_id": replay_id, "dead_letter_ids": letters, "fixed": []}),
    }
    insert(project, "events", [event])


def table(project):
    return DeadLetterTable(project.clients.bigquery, timeout_s=20)


def request(**fields):
    return msgspec.convert({"rate_per_s": 1e6} | fields, ReplayRequest)


ROWS = [
    row(0),
    row(1, reason="not_json"),
    row(2, source_topic="pmp-events", system_id="velib"),
    row(3, source_topic=None, original_publish_ts=None),
    row(4, original_publish_ts="2026-01-01T00:00:01Z"),
    row(5, original_publish_ts="2025-12-31T23:59:59.999999Z", replay_count=7),
]
CRITERIA = [
    {},
    {"reason": "schema"},
    {"reason": "absent"},
    {"source_topic": "pmp-events"},
    {"system": "velib"},
    {"published_after": "2026-01-01T00:00:00Z"},
    {"published_before": "2026-01-01T00:00:00Z"},
    {
        "published_after": "2026-01-01T00:00:00Z",
        "published_before": "2026-01-01T00:00:01Z",
        "reason": "schema",
    },
]


def test_the_query_takes_what_the_criteria_take_and_whole_letters(project):
    insert(project, "dead_letters", ROWS)
    everything = list(table(project).letters(request()))
    assert sorted(everything, key=lambda letter: letter.id) == [from_row(read(row)) for row in ROWS]
    for criteria in CRITERIA:
        wanted = request(**criteria)
        found = {letter.id for letter in table(project).letters(wanted)}
        assert found == {letter.id for letter in everything if wanted.matches(letter)}, criteria


def read(row):
    """A row as a query returns it."""
    at = row["original_publish_ts"]
    return row | {
        "data": base64.b64decode(row["data"]),
        "original_publish_ts": datetime.fromisoformat(at) if at else None,
    }


def test_a_replay_of_the_table_replays_each_letter_once_and_leaves_out_earlier_ones(project):
    insert(project, "dead_letters", [row(0), row(1), row(1), row(2), row(3, data=None)])
    note_replayed(project, ["dl-0", "dl-9"])
    fix = {"op": "cast", "path": "$.delta", "to": "integer"}
    *_, counts = project.replayer().replay(request(**{"from": "table", "fixes": [fix]}))
    assert (counts.examined, counts.replayed, counts.refused_by) == (3, 2, {"data_missing": 1})
    messages = {m.attributes["ce-id"]: (m.data, m.attributes["pmp-replay-of"]) for m in project.replayed()}
    assert messages == {"e-1": (b'{"delta":1}', "dl-1"), "e-2": (b'{"delta":2}', "dl-2")}


def test_a_dry_run_of_the_hold_reads_the_table_and_touches_no_lease(project):
    held = project.give_up(3)
    old = row(4, dead_lettered_ts="2025-01-01T00:00:00Z")
    insert(project, "dead_letters", [row(1), row(2), row(3, replay_count=3), old])
    *_, counts = project.replayer().replay(request(dry_run=True))
    assert (counts.replayed, counts.would_replay, counts.refused) == (0, 2, 1)
    free = project.pull(HOLD.path(project.id))
    assert sorted(message.attributes["pmp-dead-letter-id"] for message in free) == held
    assert (project.replayed(), project.replayed("ops-events")) == ([], [])


def test_the_list_has_the_newest_of_30_days_with_their_replays_and_without_their_bytes(project):
    earlier = NOW - timedelta(days=29)
    old = row(2, reason="old", dead_lettered_ts=(NOW - timedelta(days=31)).isoformat())
    insert(project, "dead_letters", [row(0, dead_lettered_ts=earlier.isoformat()), row(1), row(1), old])
    note_replayed(project, ["dl-1"])
    found = table(project).list(limit=10, reason="schema", source_topic=None, since=None)
    assert [(one["dead_letter_id"], one["replayed_ts"] is not None) for one in found] == [
        ("dl-1", True),
        ("dl-0", False),
    ]
    assert "data" not in found[0]
    assert (found[1]["data_bytes"], found[1]["attributes"]) == (13, {"ce-id": "e-0"})
    assert found[1]["dead_lettered_ts"] == f"{earlier:%Y-%m-%dT%H:%M:%SZ}"
    assert table(project).list(limit=1, reason=None, source_topic=None, since=None) == found[:1]
    later = earlier + timedelta(seconds=1)
    assert table(project).list(limit=9, reason=None, source_topic=None, since=later) == [found[0]]
    assert table(project).list(limit=9, reason=None, source_topic="pmp-events", since=None) == []
    of_old = {"limit": 9, "reason": "old", "source_topic": None}
    assert table(project).list(**of_old, since=None) == []
    assert len(table(project).list(**of_old, since=NOW - timedelta(days=32))) == 1


def test_what_came_back_of_a_replay_is_counted_once_each(project):
    back = json.dumps({"pmp-replay-id": "r-1"})
    other = json.dumps({"pmp-replay-id": "r-2"})
    insert(
        project, "dead_letters", [row(0, attributes=back), row(0, attributes=back), row(1, attributes=other)]
    )
    assert table(project).came_back("r-1", datetime(2026, 1, 1, tzinfo=UTC)) == 1
