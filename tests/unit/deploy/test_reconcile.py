import io
import re

from rich.console import Console

from pmpctl.dead_letters.reconciliation import request, show


def hour(topic="pmp-events", at="2026-01-24T10:00:00Z", **numbers):
    plain = {"published": 0, "rows": 0, "dead_letters": 0, "duplicates": 0, "missing": 0, "surplus": 0}
    return {"topic": topic, "hour": at, "status": "ok", **plain, **numbers}


def answer(*hours, missing=0, **more):
    return {"since": "2026-01-24T10:00:00Z", "missing": missing, "hours": list(hours), **more}


REPEAT = {
    "topic": "pmp-events",
    "publish_ts": "2026-01-24T10:00:07.123456Z",
    "message_id": "m-2",
    "event": "e-1",
    "deliveries": 2,
    "published_again": True,
}


def shown(document):
    out = io.StringIO()
    show(document, Console(file=out, width=200))
    return out.getvalue()


def cells(text, containing):
    (line,) = [line for line in text.splitlines() if containing in line]
    return re.split(r" *│ *|  +", line.strip("│┃ "))


def test_the_service_is_asked_without_leaving_a_trace():
    asked = request("http://r:1", since="90m", ids=True)
    assert str(asked) == "GET http://r:1/reconcile?since=90m&ids=true"


def test_hours_are_a_table_and_what_is_missing_is_summed():
    text = shown(
        answer(
            hour(published=1234, rows=1230, dead_letters=1, duplicates=2, missing=3, status="missing"),
            hour(topic="pmp-sensor-events", at="2026-01-24T11:00:00Z", published=4, status="open"),
            missing=3,
        )
    )
    row = ["pmp-events", "01-24 10:00", "1,234", "1,230", "1", "2", "3", "0", "missing"]
    assert cells(text, "1,234") == row
    assert cells(text, "pmp-sensor-events")[-1] == "open"
    assert "missing: 3 messages of closed hours" in text


def test_surplus_is_nothing_missing():
    text = shown(answer(hour(rows=3, surplus=3, status="surplus")))
    assert cells(text, "pmp-events")[-1] == "surplus"
    assert "messages of closed hours" not in text


def test_nothing_at_all_is_said():
    assert shown(answer()) == "nothing published or arrived since 2026-01-24T10:00:00Z\n"


def test_repeats_are_listed_where_they_were_asked_for():
    assert "published again" not in shown(answer(hour()))
    assert "no repeated messages or events" in shown(answer(hour(), repeats=[]))
    text = shown(answer(hour(), repeats=[REPEAT]))
    row = ["pmp-events", "2026-01-24 10:00:07", "m-2", "e-1", "published again, delivered 2 times"]
    assert cells(text, "m-2") == row
