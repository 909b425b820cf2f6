import csv
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from pmpctl.errors import CommandError
from pmpctl.features.export import export
from pmpctl.features.files import Format, destination
from pmpctl.features.times import KnownAt

MINUTE = timedelta(minutes=1)
AT = datetime(2025, 11, 16, 23, 45, tzinfo=UTC)
TIMES = (AT, AT + 30 * MINUTE)  # of two dates
ANYTHING = KnownAt()
FILLED = {as_of: as_of + MINUTE for as_of in TIMES}


class Wide:
    """Two stations at every time."""

    def __init__(self, fail_on=None):
        self.asked = []
        self.fail_on = fail_on

    def read(self, day, times):
        self.asked.append((day, times))
        for as_of in times:
            for station, value in (("A_101", -0.1), ('A "2"', None)):
                yield {"city_id": "paris", "station_id": station, "as_of": as_of, "net_flow_2h": value}
                if day == self.fail_on:
                    raise CommandError("BigQuery: gone")


def run(path, kind=Format.CSV, *, wide=None, looks=(FILLED,), known_at=ANYTHING, times=TIMES):
    looks = list(looks)
    told = []
    rows = export(
        times,
        read_filled=lambda: looks.pop(0) if len(looks) > 1 else looks[0],
        read_rows=(wide or Wide()).read,
        known_at=known_at,
        kind=kind,
        path=path,
        show=lambda done, count: told.append((done, count)),
    )
    return rows, told


def test_a_row_says_until_when_its_run_knew_events(tmp_path):
    path = tmp_path / "set.csv"
    assert run(path)[0] == 4
    assert list(csv.reader(path.open(newline=""))) == [
        ["city_id", "station_id", "as_of", "known_at", "net_flow_2h"],
        ["paris", "A_101", "2025-11-16T23:45:00Z", "2025-11-16T23:46:00Z", "-0.1"],
        ["paris", 'A "2"', "2025-11-16T23:45:00Z", "2025-11-16T23:46:00Z", ""],
        ["paris", "A_101", "2025-11-17T00:15:00Z", "2025-11-17T00:16:00Z", "-0.1"],
        ["paris", 'A "2"', "2025-11-17T00:15:00Z", "2025-11-17T00:16:00Z", ""],
    ]


def test_parquet_keeps_the_types(tmp_path):
    path = tmp_path / "set.parquet"
    run(path, Format.PARQUET)
    table = pq.read_table(path)
    assert [str(kind) for kind in table.schema.types] == [
        "string",
        "string",
        "timestamp[us, tz=UTC]",
        "timestamp[us, tz=UTC]",
        "double",
    ]
    row = {
        "city_id": "paris",
        "station_id": 'A "2"',
        "as_of": AT,
        "known_at": AT + MINUTE,
        "net_flow_2h": None,
    }
    assert table.num_rows == 4
    assert table.to_pylist()[1] == row


def test_every_date_is_read_once_and_the_progress_is_told(tmp_path):
    wide = Wide()
    told = run(tmp_path / "set.csv", wide=wide)[1]
    assert wide.asked == [(AT.date(), [TIMES[0]]), (TIMES[1].date(), [TIMES[1]])]
    assert told == [(1, 2), (2, 4)]


def refused(tmp_path, said, **options):
    """The export fails, reads no rows where that is known before, and leaves the old file as it was."""
    path = tmp_path / "set.csv"
    path.write_text("old")
    with pytest.raises(CommandError, match=said):
        run(path, **options)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("set.csv", "old")]


def test_a_time_without_a_succeeded_run_is_refused(tmp_path):
    wide = Wide()
    refused(tmp_path, "no feature run has succeeded for 2025-11-17T00:15:00Z", looks=[{AT: AT}], wide=wide)
    assert wide.asked == []


def test_rows_that_may_know_more_than_is_asked_for_are_refused(tmp_path):
    wide = Wide()
    said = r"may know more.*: 2025-11-17T00:15:00Z \(known at 2025-11-17T00:16:00Z\)$"
    refused(tmp_path, said, known_at=KnownAt(at=AT + MINUTE), wide=wide)
    refused(tmp_path, "may know more", known_at=KnownAt(delay=MINUTE - timedelta(microseconds=1)), wide=wide)
    assert wide.asked == []
    assert run(tmp_path / "set.csv", known_at=KnownAt(delay=MINUTE))[0] == 4


def test_a_run_that_is_told_while_rows_are_read_voids_the_export(tmp_path):
    later = FILLED | {AT: AT + 9 * MINUTE}
    refused(tmp_path, "ended during the export", looks=[FILLED, later])


def test_runs_of_other_times_change_nothing(tmp_path):
    later = FILLED | {AT + MINUTE: AT + 9 * MINUTE}
    assert run(tmp_path / "set.csv", looks=[FILLED, later])[0] == 4


def test_an_export_that_breaks_off_leaves_nothing(tmp_path):
    refused(tmp_path, "BigQuery: gone", wide=Wide(fail_on=TIMES[1].date()))


def test_only_the_first_of_many_are_named(tmp_path):
    times = tuple(AT + n * MINUTE for n in range(8))
    refused(tmp_path, r"2025-11-16T23:49:00Z and 3 more; `pmpctl features backfill`", times=times, looks=[{}])


def test_in_a_folder_the_file_has_the_name_of_the_table(tmp_path):
    assert destination(tmp_path, Format.PARQUET) == tmp_path / "station_features.parquet"
    assert destination(tmp_path / "set.csv", Format.CSV) == tmp_path / "set.csv"
    with pytest.raises(CommandError, match="does not exist"):
        destination(tmp_path / "absent" / "set.csv", Format.CSV)


def test_runs_without_rows_make_no_file(tmp_path):
    class Empty(Wide):
        def read(self, day, times):
            return iter(())

    refused(tmp_path, "wrote no rows", wide=Empty())
