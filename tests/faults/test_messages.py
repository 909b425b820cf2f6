"""Messages that come twice, late, out of order, malformed, or that cannot be dead-lettered now."""

import gzip
import http.client
import json
from datetime import UTC, datetime, timedelta

from pmp_schema.errors import Reason
from pmp_schema.message import Message
from tests.fakes.faults import FewerIds, Hold, LoseAnswer, Twice
from tests.fakes.push_proxy import PushProxy
from tests.fakes.push_requests import wrapped
from tests.faults.bench import DEAD, EVENTS, INFORMATION, OUTSTANDING, SNAPSHOTS, snapshot_of

DEEP = b"[" * 10_000 + b"]" * 10_000
GOOD = {"event_id": "e", "station_id": "A", "ts_iso": "2026-01-24T16:00:00Z", "kind": "pickup", "delta": 1}


def event(**changes):
    return json.dumps({**GOOD, **changes}).encode()


# data, reason on sensor-events
PAYLOADS = {
    "no data": (b"", Reason.EMPTY),
    "not UTF-8": (b'{"event_id":"\xff"}', Reason.NOT_UTF8),
    "not JSON": (b"<html>", Reason.NOT_JSON),
    "cut off": (event()[:-3], Reason.NOT_JSON),
    "array": (b"[]", Reason.SCHEMA),
    "scalar": (b"7", Reason.SCHEMA),
    "NaN": (event(delta=float("nan")), Reason.NOT_JSON),
    "Infinity": (event(delta=float("inf")), Reason.NOT_JSON),
    "depth of 10,000": (DEEP, Reason.TOO_DEEP),
    "2^63": (event(delta=2**63), Reason.SCHEMA),
    "1e400": (event().replace(b'"delta": 1', b'"delta": 1e400'), None),
    "lone surrogate": (event(event_id="\ud800"), None),
    "required null": (event(station_id=None), Reason.SCHEMA),
    "number for text": (event(event_id=1), Reason.SCHEMA),
    "unknown kind": (event(kind="stolen"), Reason.UNKNOWN_KIND),
}
TIMES = {
    "null": (None, Reason.SCHEMA),
    "epoch": ("1970-01-01T00:00:00Z", Reason.TIMESTAMP_OUT_OF_RANGE),
    "year 9999": ("9999-12-31T23:59:59Z", Reason.TIMESTAMP_OUT_OF_RANGE),
    "year 0": ("0000-01-01T00:00:00Z", Reason.TIMESTAMP_INVALID),
    "a week ahead": ((datetime.now(UTC) + timedelta(days=7)).isoformat(), Reason.TIMESTAMP_OUT_OF_RANGE),
    "of another decade": ("2000-01-01T00:00:00Z", Reason.ROW_REJECTED),
    "before the first partition": ("1959-12-31T00:00:00Z", Reason.TIMESTAMP_OUT_OF_RANGE),
    "text": ("yesterday", Reason.TIMESTAMP_INVALID),
    "month 13": ("2026-13-01T00:00:00Z", Reason.TIMESTAMP_INVALID),
}
# More of them: tests/unit/runtime/test_push.py, tests/unit/writer/test_app.py.
ENVELOPES = [
    (b"", {}),
    (b'{"message":{"messageId":"1","data":"%%%"}}', {}),
    (DEEP, {}),
    (gzip.compress(b'{"message":{"messageId":"1"}}'), {"Content-Encoding": "gzip"}),
    (b'{"specversion":"1.0"}', {"Content-Type": "application/cloudevents+json"}),
]


def test_a_message_delivered_many_times_is_one_event(bench):
    """1: the same message 3 times in turn, 50 times at once"""
    (first,) = bench.publish(1)
    for _ in range(2):
        bench.broker.drain(30)
        bench.broker.again(first)
    others = bench.scale.messages // 100
    bench.publish(others, copies=50)
    outcome = bench.settle()
    assert outcome.dead == ()
    assert bench.broker.answers[204] == 3 + 50 * others


def test_payloads_that_are_none_are_dead_letters_with_their_bytes(bench):
    """14: payloads that are no event"""
    sent = {bench.broker.publish(EVENTS, data): name for name, (data, _) in PAYLOADS.items()}
    outcome = bench.settle()
    found = {sent[str(row["original_message_id"])]: row for row in outcome.dead}
    assert found.keys() == PAYLOADS.keys()
    for name, (data, reason) in PAYLOADS.items():
        assert found[name]["data"] == data
        assert reason is None or found[name]["reason"] == reason, name


def test_payloads_that_are_no_snapshot_are_dead_letters(bench):
    """14: payloads that are no snapshot"""
    bad = [data for data, _ in PAYLOADS.values()]
    bad += [
        snapshot_of(10, payload=[]),
        snapshot_of(10, payload=None),
        snapshot_of(10, event_type="weather"),
        snapshot_of(10, payload={"depth": "@"}).replace(b'"@"', DEEP),
        gzip.compress(snapshot_of(10))[:-6],
    ]
    for topic in (SNAPSHOTS, INFORMATION):
        for data in bad:
            coding = {"content-encoding": "gzip"} if data.startswith(b"\x1f\x8b") else {}
            bench.broker.publish(topic, data, coding)
    outcome = bench.settle()
    assert len(outcome.dead) == 2 * len(bad)
    assert Reason.TOO_DEEP in outcome.reasons
    assert bench.rows("feed_snapshots") == bench.rows("station_information") == []


def test_what_repeats_a_key_or_holds_a_nul_is_one_thing_or_the_other(bench):
    """14: duplicate keys, NUL, unknown fields"""
    twice = event(event_id="other").replace(b"{", b'{"event_id": "first", ', 1)
    for data in (twice, event(event_id="nul-\x00"), event(event_id="x", colour="red", depth={"a": [1]})):
        bench.broker.publish(EVENTS, data)
    bench.settle()


def test_bodies_that_are_no_push_are_refused(bench):
    """15: envelopes that are none"""
    for body, headers in ENVELOPES:
        assert bench.writer.request("POST", "/push/sensor-events", body, headers).status == 400, body[:80]
    bench.publish(1)
    bench.settle()


def test_unusual_envelopes_are_written(bench):
    """15: 100 attributes, wrong content type, chunked body"""
    attributes = {f"a{n}": "é" * 500 for n in range(100)}
    bench.broker.publish(EVENTS, event(event_id="attributes"), attributes)
    bench.broker.publish(EVENTS, b"poison", attributes)
    data = event(event_id="chunked")
    message_id = bench.broker.publish(EVENTS, data)
    _, body = wrapped(Message(data=data, message_id=message_id))
    connection = http.client.HTTPConnection("127.0.0.1", bench.writer.port, timeout=20)
    chunks = (body[n : n + 9] for n in range(0, len(body), 9))
    headers = {"Content-Type": "text/plain"}
    connection.request("POST", "/push/sensor-events", chunks, headers, encode_chunked=True)
    assert connection.getresponse().status == 204
    connection.close()
    outcome = bench.settle()
    assert (outcome.reasons, outcome.duplicates) == (["not_json"], 1)
    (letter,) = bench.broker.of(DEAD)
    assert len(letter.attributes) == 100


def test_times_that_cannot_be_are_dead_letters(bench):
    """16: times that cannot be, or that no partition takes"""
    sent = {bench.broker.publish(EVENTS, event(ts_iso=text)): name for name, (text, _) in TIMES.items()}
    bench.publish(1, ts_iso=(datetime.now(UTC) + timedelta(hours=23)).isoformat())
    bench.publish(1, ts_iso=(datetime.now(UTC) - timedelta(days=3640)).isoformat())
    outcome = bench.settle()
    found = {sent[str(row["original_message_id"])]: row["reason"] for row in outcome.dead}
    assert found == {name: reason for name, (_, reason) in TIMES.items()}


def test_poison_waits_while_the_dead_letter_topic_is_down(bench):
    """19: dead-letter topic down while poison arrives"""
    poison_every = 5
    outcome = bench.ride_out(bench.pubsub.faults.outage(), bench.scale.brief_s, poison_every=poison_every)
    assert set(outcome.reasons) == {"not_json"}
    assert len(outcome.dead) >= outcome.messages // (poison_every + 1)
    assert bench.broker.answers[503] > 0


def test_a_publish_that_is_confirmed_in_part_or_not_is_done_again(bench):
    """20: dead letters confirmed in part, or not although they arrived"""
    bench.pubsub.faults.next += [FewerIds(), LoseAnswer(), FewerIds(), Twice()] * 3
    bench.poison(bench.scale.messages // 10)
    outcome = bench.settle()
    assert len(outcome.dead) == bench.scale.messages // 10
    assert len(bench.broker.of(DEAD)) > len(outcome.dead)


def test_messages_that_overtake_and_that_are_late_are_all_there(bench):
    """22: reordered, and 26 hours late"""
    with PushProxy(bench.writer.url) as pushes:
        bench.broker.url = pushes.url
        held = OUTSTANDING - 10
        pushes.faults.next += [Hold()] * held
        bench.publish(held)
        pushes.faults.await_held(held)
        bench.publish(bench.scale.messages, ts_iso=(datetime.now(UTC) - timedelta(hours=26)).isoformat())
        bench.broker.await_answers(bench.scale.messages)
        while pushes.faults.release(10, newest_first=True):
            pass
        outcome = bench.settle()
        bench.broker.url = bench.writer.url
    assert outcome.dead == ()


def test_lost_and_repeated_pushes_leave_one_event_each(bench):
    """1, 9: answers of the writer lost, pushes doubled on the way"""
    with PushProxy(bench.writer.url) as pushes:
        bench.broker.url = pushes.url
        pushes.faults.rule = lambda _: bench.chance.choice((None, None, LoseAnswer(), Twice()))
        bench.publish(bench.scale.messages)
        outcome = bench.settle()
        bench.broker.url = bench.writer.url
    assert outcome.duplicates > 0
    assert outcome.dead == ()


def test_days_are_those_of_utc_whatever_the_clock_says(bench):
    """29: clocks five minutes off, offsets, the hour that comes twice"""
    now = datetime.now(UTC)
    times = [(now + timedelta(minutes=minutes)).isoformat() for minutes in (-5, 5)]
    times += ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"]  # one wall time, an hour apart
    times += ["2026-03-29T00:30:00+01:00", "2026-03-28T23:30:00", "2026-03-29 00:30:00Z"]
    for text in times:
        bench.publish(1, ts_iso=text)
    outcome = bench.settle()
    assert outcome.dead == ()
    days = sorted(str(row["event_date"]) for row in bench.rows() if str(row["event_date"]) < "2026-04-01")
    assert days == ["2026-03-28", "2026-03-28", "2026-03-29"]
