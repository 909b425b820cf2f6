import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from pmp_schema.topology import TOPOLOGY, Schedule
from pmpctl.errors import CommandError
from pmpctl.scheduler import build, call, service_urls, trigger

NOW = datetime(2026, 3, 28, 12, 0, 5, 900_000, tzinfo=UTC)
EVERY = Schedule(id="s-1", service="collector", method="POST", path="/collect/x", timeout_s=70, every_s=60)
DAILY = replace(EVERY, every_s=None, daily_at="03:10", time_zone="Europe/Paris")


def client(answer):
    return httpx.Client(transport=httpx.MockTransport(answer))


def requests(schedule):
    """The requests of one call of a schedule."""
    seen = []

    def answer(request):
        seen.append(request)
        return httpx.Response(200)

    call(client(answer), schedule, "http://c:1", lambda: NOW)
    return seen


def test_call_is_a_request_with_the_schedule_time_that_waits_as_long_as_the_schedule_says():
    (request,) = requests(EVERY)
    assert (request.method, str(request.url)) == ("POST", "http://c:1/collect/x")
    assert request.headers["X-CloudScheduler-ScheduleTime"] == "2026-03-28T12:00:05Z"
    assert request.extensions["timeout"]["read"] == 70


def test_a_schedule_with_a_body_sends_it_as_json():
    (request,) = requests(replace(EVERY, body={"engine": "sql"}))
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.content) == {"engine": "sql"}


def refuse(request):
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (lambda request: httpx.Response(200), ("INFO", "schedule.called", None)),
        (lambda request: httpx.Response(502), ("WARNING", "schedule.refused", None)),
        (refuse, ("WARNING", "schedule.failed", "refused")),
    ],
)
def test_outcome_is_one_line_and_no_exception(caplog, answer, line):
    with caplog.at_level(logging.INFO, "pmpctl"):
        call(client(answer), EVERY, "http://c:1", lambda: NOW)
    (record,) = [r for r in caplog.records if r.name == "pmpctl.scheduler"]
    assert (record.levelname, record.getMessage(), getattr(record, "cause", None)) == line


def test_daily_schedule_keeps_its_local_hour_across_the_clock_change():
    at = trigger(DAILY)
    first = at.get_next_fire_time(None, NOW)
    second = at.get_next_fire_time(first, first + timedelta(seconds=1))
    assert [t.astimezone(UTC).strftime("%d %H:%M") for t in (first, second)] == ["29 01:10", "30 01:10"]


def test_schedule_without_time_is_refused():
    with pytest.raises(CommandError, match="neither every_s nor daily_at"):
        trigger(replace(EVERY, every_s=None))


def test_every_schedule_of_the_topology_is_called_at_once():
    services = dict.fromkeys(TOPOLOGY.services, "http://c:1")
    jobs = build(TOPOLOGY.schedules, services, client(refuse), now=lambda: NOW).get_jobs()
    assert {job.id: job.next_run_time for job in jobs} == dict.fromkeys(
        (s.id for s in TOPOLOGY.schedules), NOW
    )


def test_a_schedule_of_an_absent_service_is_skipped():
    assert build([EVERY], service_urls({"WRITER_URL": "http://w:1"}), client(refuse)).get_jobs() == []
