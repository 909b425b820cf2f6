import json
from datetime import datetime, timedelta

import pytest

from pmpctl.cloud import logs
from pmpctl.cloud.logs import Line
from tests.fakes.google_cloud import NOON


def test_lines_are_printed_oldest_first_with_their_fields(pmpctl, cloud):
    cloud.add_entry(2, "ERROR", "b", json_payload={"message": "message.poisoned", "reason": "schema"})
    cloud.add_entry(1, "INFO", "a", text_payload="started")
    cloud.add_entry(3, "DEFAULT", "c", text_payload="Traceback (most recent call last):")
    cloud.add_entry(-1, "ERROR", "d", text_payload="before")
    since = ("--since", NOON.isoformat())
    shown = [
        "2026-01-24 12:00:01 INFO     started",
        "2026-01-24 12:00:02 ERROR    message.poisoned reason=schema",
        "2026-01-24 12:00:03 DEFAULT  Traceback (most recent call last):",
    ]
    assert pmpctl("logs", "collector", *since) == (0, "".join(f"{line}\n" for line in shown), "")
    assert pmpctl("logs", "collector", *since, "--severity", "ERROR")[1] == f"{shown[1]}\n"
    lines = pmpctl("logs", "collector", *since, "--json")[1].splitlines()
    assert json.loads(lines[1]) == {
        "at": "2026-01-24T12:00:02Z",
        "severity": "ERROR",
        "message": "message.poisoned",
        "fields": {"reason": "schema"},
    }


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("writer", 'resource.type="cloud_run_revision" AND resource.labels.service_name="pmp-writer"'),
        ("pmp-writer", 'resource.type="cloud_run_revision" AND resource.labels.service_name="pmp-writer"'),
        (
            "curate_status",
            'resource.type="dataflow_step" AND resource.labels.job_name=~"^pmp-curate-status(-|$)"',
        ),
        (
            "station_features_launcher",
            'resource.type="cloud_run_job" AND resource.labels.job_name="update-station-features-launcher"',
        ),
    ],
)
def test_the_filter_names_source_severity_and_time(pmpctl, cloud, name, source):
    pmpctl("logs", name, "--since", "2026-01-24T11:00:00Z", "--severity", "ERROR")
    assert cloud.filters == [f'{source} AND severity>=ERROR AND timestamp>="2026-01-24T11:00:00+00:00"']


def test_what_has_no_log_is_said(pmpctl):
    code, _, err = pmpctl("logs", "nobody")
    assert code == 1
    assert err.startswith("pmpctl: no service or pipeline nobody; there are: collector, writer, ")


@pytest.mark.parametrize("since", ["1x", "yesterday", "h", "-5m", "nanh"])
def test_a_time_that_is_none_is_said(pmpctl, since):
    assert pmpctl("logs", "writer", "--since", since)[2] == (
        f"pmpctl: --since {since}: an age such as 90m, 24h or 7d, or an RFC 3339 time\n"
    )


class Enough(Exception):
    pass


def test_followed_lines_are_shown_once_though_late_ones_are_asked_for_again():
    first, late, second = (Line(NOON + timedelta(seconds=s), "INFO", str(s), {}) for s in (60, 55, 100))
    answers = [[("a", first)], [("b", late), ("a", first)], [("a", first), ("c", second)]]
    asked = []

    def read(since: datetime) -> list[tuple[str, Line]]:
        asked.append(since)
        if not answers:
            raise Enough
        return answers.pop(0)

    lines = logs.follow(read, NOON, lambda _: None)
    assert [next(lines).message for _ in range(3)] == ["60", "55", "100"]
    with pytest.raises(Enough):
        next(lines)
    since = [0, 30, 30, 70]
    assert asked == [NOON + timedelta(seconds=seconds) for seconds in since]
