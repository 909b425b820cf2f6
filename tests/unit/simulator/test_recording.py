"""Recordings: captures served as they are, series replayed in their order."""

import gzip
import json
from datetime import UTC, datetime, timedelta

import pytest

from pmp_simulator.cli import open_source
from pmp_simulator.clock import SimulatedClock
from pmp_simulator.recording import RecordingError, SeriesRecording, open_recording
from pmp_simulator.simulated_feed import SimulatedFeed

FIRST = datetime(2024, 9, 8, 22, 2, 35, tzinfo=UTC)


def series_line(second: int, doc: str) -> str:
    captured = (FIRST + timedelta(seconds=second)).isoformat()
    return f'{{"captured":"{captured}","doc":{doc}}}\n'


def set_clock(recording: SeriesRecording, *seconds: float) -> None:
    """Let the replay find itself at these seconds after its start, one by one."""
    ticks = iter([0.0, *seconds])
    recording._clock = SimulatedClock(FIRST, 1.0, lambda: next(ticks))


def test_captures_are_served_byte_for_byte(tmp_path):
    (tmp_path / "station_status.json").write_bytes(b'{ "data" : {}, \r\n "x": 1.0 }')
    (tmp_path / "station_information.json").write_bytes(b"{broken")
    recording = open_recording(tmp_path)
    assert recording.feed("station_status", "").body == b'{ "data" : {}, \r\n "x": 1.0 }'
    assert recording.feed("station_information", "").body == b"{broken"


def test_discovery_lists_what_exists_and_not_the_captured_hosts(tmp_path):
    (tmp_path / "station_status.json").write_bytes(b"{}")
    (tmp_path / "gbfs.json").write_bytes(
        b'{"data":{"en":{"feeds":[{"name":"x","url":"https://elsewhere"}]}}}'
    )
    (tmp_path / "notes.json").write_bytes(b"{}")
    recording = open_recording(tmp_path)
    found = json.loads(recording.feed("gbfs", "http://h:1").body)
    assert found["data"]["en"]["feeds"] == [
        {"name": "gbfs", "url": "http://h:1/gbfs.json"},
        {"name": "station_status", "url": "http://h:1/station_status.json"},
    ]
    assert recording.names() == ("gbfs", "station_status")
    assert recording.truth(None, None) is None
    with pytest.raises(KeyError):
        recording.feed("station_information", "")


@pytest.mark.parametrize("name", ["series.jsonl", "series.jsonl.gz"])
def test_a_series_comes_in_order_as_time_goes_by_and_stays_at_its_end(tmp_path, name):
    text = "".join(series_line(second, f'{{"n": {second}}}') for second in (0, 60, 120)).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    recording = open_recording(tmp_path / name)
    set_clock(recording, 0, 59, 60, 125, 9999)
    bodies = [recording.feed("station_status", "").body for _ in range(5)]
    assert bodies == [b'{"n": 0}', b'{"n": 0}', b'{"n": 60}', b'{"n": 120}', b'{"n": 120}']


@pytest.mark.parametrize("line", [series_line(0, "{}"), '{"captured":"2024-09-08T22:02:35","doc":{}}\n'])
def test_a_series_starts_at_its_first_capture_in_utc_unless_it_has_an_offset(tmp_path, line):
    (tmp_path / "series.jsonl").write_text(line)
    recording = open_recording(tmp_path / "series.jsonl", speed=0.001)
    assert recording.feed("station_status", "").changed_at == FIRST
    assert FIRST <= recording.now() < FIRST + timedelta(seconds=1)


def test_a_series_of_information_is_known_by_its_file_name(tmp_path):
    (tmp_path / "station_information.jsonl").write_text(series_line(0, "{}"))
    recording = open_recording(tmp_path / "station_information.jsonl")
    assert recording.names() == ("gbfs", "station_information")
    listed = json.loads(recording.feed("gbfs", "http://h").body)["data"]["en"]["feeds"]
    assert listed[1]["url"] == "http://h/station_information.json"
    with pytest.raises(KeyError):
        recording.feed("station_status", "")


def test_a_line_damaged_further_on_is_named_when_it_is_reached(tmp_path):
    text = series_line(0, "{}") + series_line(60, "{}") + "{not json\n"
    (tmp_path / "series.jsonl").write_text(text)
    recording = open_recording(tmp_path / "series.jsonl")
    set_clock(recording, 0, 60)
    recording.feed("station_status", "")
    with pytest.raises(RecordingError, match="cannot be read at line 3"):
        recording.feed("station_status", "")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("folder", None, "holds neither station_status.json nor station_information.json"),
        ("absent", None, "is neither a folder nor a file"),
        ("feed.csv", b"", "is neither a folder of captures nor a .jsonl or .jsonl.gz series"),
        ("series.jsonl", b"", "is empty"),
        ("series.jsonl", b'{"doc":{}}\n', "cannot be read at line 1"),
        ("series.jsonl.gz", b"not gzip", "cannot be read at line 1"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_sentence(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    elif name == "folder":
        path.mkdir()
    with pytest.raises(RecordingError, match=message) as caught:
        open_recording(path)
    assert "\n" not in str(caught.value)


def test_the_word_simulated_opens_a_city_and_a_path_a_recording(tmp_path):
    (tmp_path / "station_status.json").write_bytes(b"{}")
    assert isinstance(open_source("simulated", seed=1, start_at=FIRST, stations=3), SimulatedFeed)
    assert open_source(str(tmp_path), seed=1, start_at=FIRST).names() == ("gbfs", "station_status")
