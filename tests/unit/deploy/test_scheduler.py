import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from pmp_schema.topology import TOPOLOGY, Schedule
from pmpctl.errors import CommandError
from pmpctl.scheduler import build, call, trigger

NOW = datetime(2026, 3, 28, 12, 0, 5, 900_000, tzinfo=UTC)
EVERY = Schedule(id="s-1", service="collector", method="POST", path="/collect/x", timeout_s=70, every_s=60)


def client(answer):
    return httpx.Client(transport=httpx.MockTransport(answer))


def test_call_is_a_request_with_the_schedule_time():
    seen = []

    def answer(request):
        seen.append((request.method, str(request.url), request.headers["X-CloudScheduler-ScheduleTime"]))
        return httpx.Response(200)

    call(client(answer), EVERY, "http://c:1", lambda: NOW)
    assert seen == [("POST", "http://c:1/collect/x", "2026-03-28T12:00:05Z")]


def test_a_schedule_with_a_body_sends_it_as_json():
    seen = []

    def answer(request):
        seen.append((request.headers["Content-Type"], json.loads(request.content)))
        return httpx.Response(202)

    call(client(answer), replace(EVERY, body={"engine": "sql"}), "http://c:1", lambda: NOW)
    assert seen == [("application/json", {"engine": "sql"})]


def test_a_call_waits_as_long_as_its_schedule_says():
    seen = []

    def answer(request):
        seen.append(request.extensions["timeout"]["read"])
        return httpx.Response(200)

    for schedule in (EVERY, replace(EVERY, timeout_s=1800)):
        call(client(answer), schedule, "http://c:1", lambda: NOW)
    assert seen == [70, 1800]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (lambda request: httpx.Response(200), ("INFO", "schedule.called")),
        (lambda request: httpx.Response(502), ("WARNING", "schedule.refused")),
    ],
)
def test_outcome_is_one_line(caplog, answer, line):
    with caplog.at_level(logging.INFO, "pmpctl"):
        call(client(answer), EVERY, "http://c:1", lambda: NOW)
    assert [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "pmpctl.scheduler"] == [line]


def test_unreachable_service_is_a_line_and_no_exception(caplog):
    def answer(request):
        raise httpx.ConnectError("refused")

    call(client(answer), EVERY, "http://c:1", lambda: NOW)
    (record,) = [r for r in caplog.records if r.name == "pmpctl.scheduler"]
    assert (record.getMessage(), record.schedule, record.cause) == ("schedule.failed", "s-1", "refused")


def test_daily_schedule_keeps_its_local_hour_across_the_clock_change():
    daily = Schedule(
        id="d",
        service="collector",
        method="POST",
        path="/",
        timeout_s=70,
        daily_at="03:10",
        time_zone="Europe/Paris",
    )
    at = trigger(daily)
    first = at.get_next_fire_time(None, NOW)
    second = at.get_next_fire_time(first, first + timedelta(seconds=1))
    assert [t.astimezone(UTC).strftime("%d %H:%M") for t in (first, second)] == ["29 01:10", "30 01:10"]


def test_schedule_without_time_is_refused():
    with pytest.raises(CommandError, match="neither every_s nor daily_at"):
        trigger(Schedule(id="d", service="collector", method="POST", path="/", timeout_s=70))


def test_every_schedule_of_the_topology_runs_first_at_once_and_never_twice_at_a_time():
    services = dict.fromkeys(TOPOLOGY.services, "http://c:1")
    built = build(TOPOLOGY.schedules, services, client(None), now=lambda: NOW)
    jobs = [job for job, _, _ in built._pending_jobs]
    assert [job.id for job in jobs] == [s.id for s in TOPOLOGY.schedules]
    assert {job.next_run_time for job in jobs} == {NOW}


def test_schedule_of_an_absent_service_is_left_out():
    assert build([EVERY], {}, client(None)).get_jobs() == []
