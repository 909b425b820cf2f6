"""The questions to BigQuery, on the emulator."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from pmp_curation.core import SystemState, curate
from pmp_curation.curator import to_snapshot
from pmp_curation.history import BigQueryHistory
from pmp_runtime.bigquery.queries import Queries
from pmp_schema.message_rows import build
from pmp_schema.snapshots import receive_snapshot
from tests.fakes.curation_history import bikes, message

pytestmark = pytest.mark.integration
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BEFORE = START - timedelta(days=1)


@pytest.fixture
def history(project):
    return BigQueryHistory(Queries(project.bigquery, "pmp_curation", timeout_s=20))


@pytest.fixture
def tables(project, system):
    return project.tables(system)


def raw(given, ingest_ts=None):
    """A message as the row that the writer makes of it."""
    (row,) = build("snapshots", given, datetime.now(UTC)).rows
    as_objects = {name: msgspec.json.decode(row[name]) for name in ("payload", "attributes")}
    return {**row, **as_objects, "ingest_ts": ingest_ts or given.publish_ts + timedelta(seconds=1)}


def poll(system, minute, **counts):
    return message(bikes(**counts), START + minute * MINUTE, system=system)


def snapshot(given):
    return to_snapshot(receive_snapshot(given, datetime.now(UTC)), datetime.now(UTC))


def event_id(given):
    return snapshot(given).event_id


def minutes(found):
    return [(one.feed_ts - START) // MINUTE for one in found]


def keep(tables, *curated):
    """What the pipeline writes of some snapshots."""
    for one in curated:
        at = {"ingest_ts": one.poll["feed_ts"] + timedelta(seconds=5)}
        if one.status_rows:
            tables.insert("station_status", *(row | at for row in one.status_rows))
        tables.insert("feed_polls", one.poll | at)


def curated(*given):
    state, found = None, []
    for one in given:
        found.append(curate(state, snapshot(one)))
        state = found[-1].state
    return found


def test_what_has_neither_poll_row_nor_letter_of_its_own_is_missing_in_the_feeds_order(
    history, tables, system
):
    given = [poll(system, minute, a=minute) for minute in range(6)]
    tables.insert("feed_snapshots", *(raw(one) for one in reversed(given)))
    tables.insert("feed_snapshots", raw(given[2]))  # delivered twice
    tables.insert("feed_polls", {"event_id": event_id(given[1]), "feed_ts": START + MINUTE})
    letters = {3: "schema", 4: "station_invalid", 5: "row_rejected"}
    for minute, reason in letters.items():
        letter = {"dead_letter_id": f"{system}-{minute}", "reason": reason, "dead_lettered_ts": START}
        tables.insert("dead_letters", letter | {"original_message_id": given[minute].message_id})
    found = history.missing(system, since=BEFORE)
    assert minutes(found) == [0, 2, 4, 5]
    assert [one.event_id for one in found] == [event_id(given[minute]) for minute in (0, 2, 4, 5)]
    assert found[0].ingest_ts == given[0].publish_ts + timedelta(seconds=1)


def test_only_polls_of_about_the_time_of_the_snapshots_are_read(history, tables, system):
    given = [poll(system, minute, a=1) for minute in range(2)]
    tables.insert("feed_snapshots", *(raw(one) for one in given))
    for one, days in zip(given, (0.9, 1.1), strict=True):
        at = START - timedelta(days=days)
        tables.insert("feed_polls", {"event_id": event_id(one), "feed_ts": at})
    assert minutes(history.missing(system, since=BEFORE)) == [1]


def test_missing_is_bounded_by_feed_time_and_ingestion(history, tables, system):
    tables.insert("feed_snapshots", *(raw(poll(system, minute, a=1)) for minute in range(6)))
    late = raw(poll(system, 6, a=1), ingest_ts=START + timedelta(days=1))
    tables.insert("feed_snapshots", late)
    within = history.missing(system, since=BEFORE, until=START + 3 * MINUTE)
    assert minutes(within) == [0, 1, 2, 3]
    assert minutes(history.missing(system, since=START + timedelta(hours=1))) == [6]


def test_other_systems_and_feeds_are_not_missing(history, tables, system):
    information = raw(poll(system, 0, a=1)) | {"event_type": "station_information_snapshot"}
    tables.insert("feed_snapshots", raw(poll("another", 0, a=1)), information)
    assert history.missing(system, since=BEFORE) == []


def test_a_snapshot_comes_back_as_its_message_was(history, tables, system):
    given = [poll(system, minute, a=5, é=minute) for minute in range(3)]
    tables.insert("feed_snapshots", *(raw(one) for one in given))
    found = list(history.messages(system, history.missing(system, since=BEFORE)))
    assert [one.message_id for one in found] == [one.message_id for one in given]
    for again, was in zip(found, given, strict=True):
        assert dict(again.attributes) == dict(was.attributes)
        assert again.publish_ts == was.publish_ts
        mine, theirs = snapshot(again), snapshot(was)
        assert msgspec.json.decode(mine.payload) == msgspec.json.decode(theirs.payload)
        assert msgspec.structs.asdict(_bare(mine)) == msgspec.structs.asdict(_bare(theirs))


class _Bare(msgspec.Struct):
    system_id: str
    event_id: str
    feed_ts: datetime
    feed_ts_source: str
    ingest_ts: datetime
    city_id: str


def _bare(given):
    return _Bare(*(getattr(given, name) for name in _Bare.__struct_fields__))


def test_more_snapshots_than_one_question_takes_all_come_back(project, tables, system):
    history = BigQueryHistory(Queries(project.bigquery, "pmp_curation", timeout_s=20), bodies=3)
    given = [poll(system, minute, a=minute) for minute in range(8)]
    tables.insert("feed_snapshots", *(raw(one) for one in given))
    found = history.messages(system, history.missing(system, since=BEFORE))
    assert [one.message_id for one in found] == [one.message_id for one in given]


def test_the_state_is_that_of_the_job_that_wrote_the_rows(history, tables, system):
    done = curated(
        poll(system, 0, a=5, b=1, c=None),
        poll(system, 1, a=5, b=2, c=4),
        poll(system, 2, a=None, b=2, c=4),
        poll(system, 3),  # suspect
    )
    keep(tables, *done)
    assert done[-1].poll["verdict"] == "suspect"
    found, kept = history.state(system), done[-1].state
    assert found.stations == kept.stations
    assert found.stations["a"].known_bikes == 5
    assert (found.accepted_us, found.is_suspect, found.absent) == (kept.accepted_us, True, kept.absent)
    assert set(found.events) == set(kept.events)


def test_of_a_system_that_was_polled_lately_only_the_last_days_are_read(project, tables, system):
    old, new = curated(poll(system, -8 * 24 * 60, a=5), poll(system, 0, a=4))
    keep(tables, old, new)
    queries = Queries(project.bigquery, "pmp_curation", timeout_s=20)
    for age, remembered in ((1, 1), (30, 2)):
        found = BigQueryHistory(queries, now=lambda age=age: START + timedelta(days=age)).state(system)
        assert found.accepted_us == new.state.accepted_us
        assert len(found.events) == remembered


def test_what_may_come_again_is_remembered(project, tables, system):
    done = curated(poll(system, -5 * 24 * 60, a=5), poll(system, 0, a=4))
    keep(tables, *done)
    queries = Queries(project.bigquery, "pmp_curation", timeout_s=20)
    found = BigQueryHistory(queries, now=lambda: START + timedelta(days=1)).state(system)
    assert set(found.events) == set(done[-1].state.events)


def test_rows_of_a_snapshot_without_poll_row_do_not_count(history, tables, system):
    first, second = curated(poll(system, 0, a=5), poll(system, 1, a=3))
    keep(tables, first)
    tables.insert("station_status", *(row | {"ingest_ts": START} for row in second.status_rows))
    assert history.state(system).stations == first.state.stations


def test_rows_that_were_written_twice_count_once(history, tables, system):
    done = curated(poll(system, 0, a=5), poll(system, 1, a=3))
    keep(tables, *done)
    keep(tables, *done)
    assert history.state(system).stations == done[-1].state.stations


def test_a_system_that_was_never_curated_has_no_state_and_no_beginning(history, system):
    assert history.state(system) is None
    assert history.began(system) is None
    assert SystemState(system_id=system).stations == {}


def test_the_history_begins_with_the_first_accepted_poll(history, tables, system):
    for minute, verdict in enumerate(("suspect", "unchanged", "ok")):
        tables.insert("feed_polls", {"feed_ts": START + minute * MINUTE, "verdict": verdict})
    assert history.began(system) == START + MINUTE


def test_systems_are_those_polled_since(history, tables, system):
    tables.insert("feed_snapshots", raw(poll(system, 0, a=1)))
    assert system in history.systems(BEFORE)
    assert system not in history.systems(START + timedelta(days=1))
