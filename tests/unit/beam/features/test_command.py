"""The command line, with files in and out and no environment."""

import csv
import json
from datetime import UTC, datetime, timedelta

import pytest

from pmp_beam.__main__ import main, parser
from pmp_beam.runners import Runner
from pmp_beam.station_features.run_work import job_name, shards_of

EVENT = {
    "event_id": "e-90001",
    "station_id": "A_101",
    "ts_iso": "2025-10-18T16:24:11Z",
    "kind": "pickup",
    "delta": 1,
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROJECT_ID", raising=False)


def parsed(*arguments):
    return parser().parse_args(["station_features", *arguments])


@pytest.mark.parametrize(
    ("name", "runner"),
    [
        ("test", "test"),
        ("direct", Runner.DIRECT),
        ("DirectRunner", Runner.DIRECT),
        ("DataflowRunner", Runner.DATAFLOW),
        ("dataflow", Runner.DATAFLOW),
    ],
)
def test_runners_have_short_names_and_beams(name, runner):
    assert parsed(f"--runner={name}").runner == runner


def test_a_date_alone_is_midnight_in_utc():
    assert parsed("--run-timestamp=2025-12-13").as_of == datetime(2025, 12, 13, tzinfo=UTC)


def test_the_source_documents_command_line_works_as_it_stands(tmp_path, capsys):
    assert main(["--runner=test", "--run-timestamp=2025-12-13"]) == 0
    assert capsys.readouterr().out == "data/station_features.json\n"
    rows = json.loads((tmp_path / "data" / "station_features.json").read_text("utf-8"))
    assert {row["station_id"] for row in rows} == {"A_101", "A_205", "A_310"}
    assert {row["as_of"] for row in rows} == {"2025-12-13T00:00:00Z"}


@pytest.mark.parametrize("end", ["\n", ""])
@pytest.mark.parametrize("shape", ["array", "lines"])
def test_events_are_a_json_array_or_one_a_line(tmp_path, shape, end):
    events = [EVENT, EVENT | {"event_id": "e-90002", "city_id": "paris", "colour": "red"}]
    text = json.dumps(events) if shape == "array" else "\n".join(map(json.dumps, events))
    (tmp_path / "in.json").write_text(text + end, "utf-8")
    times = ["--as-of", "2025-10-18T16:30:00Z"]
    assert (
        main(["station_features", "--runner", "test", *times, "--input", "in.json", "--output", "o.csv"]) == 0
    )
    with (tmp_path / "o.csv").open(newline="") as file:
        counts = [row for row in csv.DictReader(file) if row["feature_name"] == "pickup_count"]
    assert {(row["city_id"], row["window_len"], row["value"]) for row in counts} == {
        (city, window, "1") for city in ("unknown", "paris") for window in ("30m", "2h", "24h")
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{}]", "event_id"),
        ("[", "Input data was truncated"),
        (json.dumps([EVENT | {"ts_iso": "now"}]), "RFC 3339"),
    ],
)
def test_a_file_without_events_is_refused(tmp_path, capsys, text, message):
    (tmp_path / "in.json").write_text(text, "utf-8")
    assert main(["station_features", "--runner", "test", "--input", "in.json"]) == 2
    assert message in capsys.readouterr().err


def test_what_may_still_change_must_be_called_provisional(capsys):
    later = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    arguments = ["station_features", "--runner", "test", "--as-of", "2025-12-13", "--known-at", later]
    assert main(arguments) == 2
    assert "--provisional" in capsys.readouterr().err
    assert main([*arguments, "--provisional"]) == 0


@pytest.mark.parametrize("run_id", ["1st", "a/b", "a" * 101, "a.b"])
def test_a_run_id_is_a_part_of_names(run_id, capsys):
    assert main(["station_features", "--runner", "test", "--run-id", run_id]) == 2
    assert "--run-id" in capsys.readouterr().err


def test_bigquery_needs_a_project(capsys):
    assert main(["station_features"]) == 2
    assert "PROJECT_ID" in capsys.readouterr().err


def test_shards_follow_the_data_within_bounds():
    assert [shards_of(rows) for rows in (0, 40_000_000, 10**12)] == [16, 40, 1024]


def test_a_job_on_dataflow_has_the_runs_name():
    assert job_name("pmp-station-features-R_1-a1b2") == "pmp-station-features-r-1-a1b2"
