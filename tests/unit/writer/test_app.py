import gzip
import io
import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from pmp_runtime.bigquery.append.row_values import RejectedRow
from pmp_runtime.logs import CloudJsonFormatter
from pmp_schema.errors import PublishFailed, QueueFull, SinkUnavailable
from pmp_schema.message import Message
from pmp_writer.app import MAX_BODY_BYTES, create_app
from pmp_writer.auth import ClaimsVerifier, Forbidden, NoVerifier, SignatureVerifier, Unauthenticated
from pmp_writer.handler import Handler
from tests.fakes.push_requests import FORMS, wrapped
from tests.fakes.recording import RecordingPublisher, RecordingSink

NOW = datetime(2026, 1, 24, 16, 30, tzinfo=UTC)
EVENT = {
    "event_id": "e-1",
    "station_id": "A_101",
    "ts_iso": "2026-01-24T16:00:00Z",
    "kind": "pickup",
    "delta": 1,
}
TABLES = ("feed_snapshots", "raw_events", "station_information", "dead_letters", "events")
DEEP = b"[" * 10_000 + b"]" * 10_000


class Bench:
    def __init__(self):
        self.sinks = {name: RecordingSink() for name in TABLES}
        self.publisher = RecordingPublisher()
        self.verifier = NoVerifier()
        self.down = None
        handler = Handler(self.sinks, self.publisher, lambda: NOW)
        self.client = create_app(handler, self, project="p", check_ready=self.check_ready).test_client()

    def verify(self, authorization):
        self.verifier.verify(authorization)

    def check_ready(self):
        if self.down is not None:
            raise self.down

    def push(self, route, data, form="wrapped", **attributes):
        headers, body = FORMS[form](Message(data=data, message_id="7", attributes=attributes))
        return self.client.post(f"/push/{route}", data=body, headers=headers)

    @property
    def reasons(self):
        return [message.attributes["pmp-reason"] for _, message in self.publisher.published]

    @property
    def row_count(self):
        return sum(len(sink.rows) for sink in self.sinks.values())


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    # Whatever a test has sent: the next good message is written.
    bench.verifier, bench.publisher.fail_with, bench.sinks["raw_events"].fail_with = NoVerifier(), None, None
    assert bench.push("sensor-events", event(event_id="after")).status_code == 204
    assert bench.sinks["raw_events"].rows[-1]["event_id"] == "after"


def event(**changes):
    return json.dumps({k: v for k, v in (EVENT | changes).items() if v is not ...}).encode()


def with_raw(raw):
    """An event in which an unknown field has this JSON text."""
    return event(x="?").replace(b'"?"', raw)


def snapshot(raw=b"{}", event_type="station_status_snapshot"):
    return b'{"source":"velib","event_type":"%s","payload":%s}' % (event_type.encode(), raw)


def information(raw=b"{}"):
    return snapshot(raw, "station_information_snapshot")


@pytest.mark.parametrize("form", FORMS)
def test_a_good_message_is_written_and_answered_204(bench, form):
    answer = bench.push("sensor-events", event(), form)
    assert (answer.status_code, answer.data) == (204, b"")
    assert [row["event_id"] for row in bench.sinks["raw_events"].rows] == ["e-1"]
    assert bench.reasons == []


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_the_content_type_of_a_wrapped_push_does_not_matter(bench, content_type):
    _, body = wrapped(Message(data=event(), message_id="7"))
    assert bench.client.post("/push/sensor-events", data=body, content_type=content_type).status_code == 204


def post_chunked(bench, body):
    """As gunicorn hands on a chunked body: no length, but an end."""
    return bench.client.post(
        "/push/sensor-events",
        input_stream=io.BytesIO(body),
        environ_overrides={"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True},
    )


def test_a_chunked_body_is_read(bench):
    _, body = wrapped(Message(data=event(), message_id="7"))
    assert post_chunked(bench, body).status_code == 204
    assert bench.row_count == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"NaN",
        b"\x00",
        b"\xff\xfe",
        b"subscription=x&message=y",
        DEEP,
        b'{"message":' * 10_000,
        b'{"message":{"messageId":"1","data":"%%%"}}',
        b'{"message":{"messageId":"1","data":"aGk"}}',
        b'{"message":{"messageId":"1","data":7}}',
        b'{"message":{"messageId":"1","attributes":[]}}',
        b'{"message":{"messageId":"\\ud800"}}',
        b'{"message":{"data":"aGk="}}',
    ],
)
def test_a_body_that_is_no_message_is_400_and_leaves_nothing(bench, body):
    answer = bench.client.post("/push/sensor-events", data=body, content_type="application/json")
    assert (answer.status_code, answer.json["error"]["reason"]) == (400, "malformed_push")
    assert (bench.row_count, bench.reasons) == (0, [])


def test_a_compressed_http_body_is_no_message(bench):
    headers, body = wrapped(Message(data=event(), message_id="7"))
    answer = bench.client.post(
        "/push/sensor-events", data=gzip.compress(body), headers=headers | {"Content-Encoding": "gzip"}
    )
    assert answer.status_code == 400


@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 30_000_000])
def test_a_long_body_is_413_and_leaves_nothing(bench, size):
    answer = bench.client.post("/push/sensor-events", data=bytes(size))
    assert (answer.status_code, answer.json["error"]["reason"]) == (413, "request_entity_too_large")
    assert post_chunked(bench, bytes(size)).status_code == 413
    assert (bench.row_count, bench.reasons) == (0, [])


POISON = [
    ("sensor-events", b"", "empty"),
    ("sensor-events", b"{}", "schema"),
    ("sensor-events", b"[]", "schema"),
    ("sensor-events", b"\xff", "not_utf8"),
    ("sensor-events", event().decode().encode("utf-16"), "not_utf8"),
    ("sensor-events", b"hello", "not_json"),
    ("sensor-events", with_raw(b"NaN"), "not_json"),
    ("sensor-events", with_raw(b"-Infinity"), "not_json"),
    ("sensor-events", with_raw(b"1e400"), "not_json"),
    ("sensor-events", with_raw(b'"\\ud800"'), "not_json"),
    ("sensor-events", with_raw(b"9" * 5000), "not_json"),
    ("sensor-events", with_raw(b'"\x00"'), "not_json"),
    ("sensor-events", with_raw(DEEP), "too_deep"),
    ("sensor-events", DEEP, "too_deep"),
    ("sensor-events", event(delta=2**63), "schema"),
    ("sensor-events", event(delta=2**70), "schema"),
    ("sensor-events", event(delta=...), "schema"),
    ("sensor-events", event(kind="teleport"), "unknown_kind"),
    ("sensor-events", event(ts_iso=None), "schema"),
    ("sensor-events", event(ts_iso="0"), "timestamp_out_of_range"),
    ("sensor-events", event(ts_iso="1970-01-01T00:00:00Z"), "timestamp_out_of_range"),
    ("sensor-events", event(ts_iso="9999-12-31T23:59:59Z"), "timestamp_out_of_range"),
    ("sensor-events", event(ts_iso=(NOW + timedelta(days=2)).isoformat()), "timestamp_out_of_range"),
    ("sensor-events", event(ts_iso="2026-13-01T00:00:00Z"), "timestamp_invalid"),
    ("sensor-events", with_raw(b'"' + b"x" * 9_500_000 + b'"'), "too_large"),
    ("snapshots", b"", "empty"),
    ("snapshots", b"[]", "schema"),
    ("snapshots", snapshot(b"[]"), "schema"),
    ("snapshots", snapshot(b'{"a":NaN}'), "not_json"),
    ("snapshots", snapshot(b'{"a":1e400}'), "not_json"),
    ("snapshots", snapshot(b'{"a":' + DEEP + b"}"), "too_deep"),
    ("snapshots", snapshot(event_type="weather"), "unknown_event_type"),
    ("snapshots", snapshot(b'{"a":"' + b"x" * 9_500_000 + b'"}'), "too_large"),
    ("station-information", information(), "schema"),
    ("station-information", information(b'{"data":{"stations":{}}}'), "schema"),
    ("station-information", information(b'{"data":{"stations":[]}}'), "no_stations"),
    ("station-information", information(b'{"data":{"stations":[{}]}}'), "station_invalid"),
    ("station-information", snapshot(b'{"data":{"stations":[{"station_id":1}]}}'), "unknown_event_type"),
    ("ops-events", b"{}", "schema"),
    ("ops-events", b'{"id":"1","type":"t","time":"9999-01-01T00:00:00Z"}', "timestamp_out_of_range"),
    ("ops-events", b'{"id":"1","type":"t","data":' + DEEP + b"}", "too_deep"),
]


@pytest.mark.parametrize(("route", "data", "reason"), POISON)
def test_poison_is_dead_lettered_with_its_reason_and_acknowledged(bench, route, data, reason):
    answer = bench.push(route, data, origin="test")
    assert (answer.status_code, bench.reasons, bench.row_count) == (204, [reason], 0)
    ((topic, message),) = bench.publisher.published
    assert (topic, message.attributes["origin"]) == ("pmp-dead-letters", "test")
    if reason != "station_invalid":
        assert message.data == data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gzip.compress(bytes(50_000_000)), "too_large"),
        (gzip.compress(event())[:-5], "bad_gzip"),
        (event(), "bad_gzip"),
        (b"", "bad_gzip"),
    ],
)
@pytest.mark.parametrize("form", ["wrapped", "unwrapped"])
def test_bad_gzip_is_dead_lettered_as_it_came(bench, form, data, reason):
    attributes = {"content-encoding": "gzip"}
    assert bench.push("sensor-events", data, form, **attributes).status_code == 204
    ((_, message),) = bench.publisher.published
    assert (message.attributes["pmp-reason"], message.data) == (reason, data)
    assert message.attributes["content-encoding"] == "gzip"


ACCEPTED = [
    with_raw(b"1180591620717411303424"),
    with_raw(b'"\\u0000"'),
    with_raw(b'"\\ud83d\\ude80"'),
    event(ts_iso="2026-01-24 16:00:00"),
    event(ts_iso="2026-01-24T16:00:00"),
    event(ts_iso="2026-01-24T16:00:00.1234567+01:00"),
    event(delta=2**63 - 1),
    event().replace(b"{", b'{"delta": "no number", ', 1),
]


@pytest.mark.parametrize("data", ACCEPTED)
def test_odd_but_good_messages_are_rows(bench, data):
    assert bench.push("sensor-events", data).status_code == 204
    assert (bench.row_count, bench.reasons) == (1, [])


def test_more_attributes_than_pubsub_has_are_no_reason_to_lose_a_message(bench):
    many = {f"a{n}": "v" * 2000 for n in range(150)}
    assert bench.push("sensor-events", b"poison", **many).status_code == 204
    ((_, message),) = bench.publisher.published
    assert len(message.attributes) == 100
    assert max(len(value) for value in message.attributes.values()) == 1024
    assert bench.push("sensor-events", event(), **many).status_code == 204


@pytest.mark.parametrize("data", [data for _, data, _ in POISON])
def test_any_message_is_a_row_on_the_dead_letter_route(bench, data):
    assert bench.push("dead-letters", data).status_code == 204
    assert [row["data"] for row in bench.sinks["dead_letters"].rows] == [data]
    assert bench.reasons == []


def test_a_message_that_is_too_large_becomes_a_row_with_all_of_its_bytes(bench):
    data = b"x" * 9_500_000
    bench.push("sensor-events", data)
    ((_, message),) = bench.publisher.published
    assert bench.push("dead-letters", message.data, **message.attributes).status_code == 204
    (row,) = bench.sinks["dead_letters"].rows
    assert (row["reason"], row["data"], row["source_topic"]) == ("too_large", data, "pmp-sensor-events")


@pytest.mark.parametrize("fault", [QueueFull("20000 rows are waiting"), SinkUnavailable("UNAVAILABLE")])
def test_what_cannot_be_written_now_is_503_and_comes_again(bench, fault):
    bench.sinks["raw_events"].fail_with = fault
    answer = bench.push("sensor-events", event())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json == {"error": {"reason": "unavailable", "message": str(fault)}}
    assert bench.reasons == []


def test_poison_that_cannot_be_published_now_is_503(bench):
    bench.publisher.fail_with = PublishFailed("pmp-dead-letters: ServiceUnavailable")
    assert bench.push("sensor-events", b"poison").status_code == 503


def test_a_bug_is_500_and_says_nothing(bench):
    bench.sinks["raw_events"].fail_with = ZeroDivisionError("secret")
    answer = bench.push("sensor-events", event())
    assert (answer.status_code, answer.json["error"]["reason"]) == (500, "internal")
    assert b"secret" not in answer.data


@pytest.mark.parametrize("path", ["/push/weather", "/push/", "/push", "/push/sensor-events/x"])
def test_an_unknown_route_is_404(bench, path):
    assert bench.client.post(path, data=b"{}").status_code == 404


def test_only_post_pushes(bench):
    assert bench.client.get("/push/sensor-events").status_code == 405


class Refusing:
    def __init__(self, cause):
        self.cause, self.asked = cause, []

    def verify(self, authorization):
        self.asked.append(authorization)
        raise self.cause


class Unread(io.RawIOBase):
    def readable(self):
        return True

    def readinto(self, buffer):
        raise AssertionError("the body was read")


@pytest.mark.parametrize(
    ("cause", "status", "reason"),
    [(Unauthenticated("expired"), 401, "unauthenticated"), (Forbidden("wrong account"), 403, "forbidden")],
)
def test_without_a_good_token_nothing_is_read_or_written(bench, cause, status, reason):
    bench.verifier = Refusing(cause)
    answer = bench.client.post(
        "/push/sensor-events",
        headers={"Authorization": "Bearer t"},
        environ_overrides={"wsgi.input": Unread(), "CONTENT_LENGTH": "10"},
    )
    assert (answer.status_code, answer.json["error"]["reason"]) == (status, reason)
    assert bench.verifier.asked == ["Bearer t"]
    assert (bench.row_count, bench.reasons) == (0, [])


def test_readiness_follows_the_dependencies_and_health_does_not(bench):
    bench.down = SinkUnavailable("raw_events: ServiceUnavailable")
    assert bench.client.get("/readyz").status_code == 503
    assert bench.client.get("/health").status_code == 200
    bench.down = None
    assert bench.client.get("/readyz").status_code == 200


def lines_of(caplog):
    return [
        (r.levelname, r.message, getattr(r, "reason", None))
        for r in caplog.records
        if r.name == "pmp_writer.app"
    ]


def test_each_message_has_one_line_for_its_outcome(bench, caplog):
    caplog.set_level(logging.DEBUG)
    bench.push("sensor-events", event())
    bench.push("sensor-events", b"poison payload")
    bench.sinks["raw_events"].fail_with = SinkUnavailable("x")
    bench.push("sensor-events", event())
    bench.client.post("/push/sensor-events", data=b"{}")
    assert lines_of(caplog) == [
        ("DEBUG", "message.written", None),
        ("WARNING", "message.poisoned", "not_json"),
        ("WARNING", "message.retried", None),
        ("ERROR", "push.malformed", None),
    ]
    assert "poison payload" not in caplog.text


def test_pushes_beyond_those_in_hand_are_refused_at_once_counted_and_health_answers(bench, caplog):
    entered, leave = threading.Event(), threading.Event()

    def hang(rows):
        entered.set()
        leave.wait(10)
        return []

    bench.sinks["raw_events"].rejects = hang
    now_s = [100.0]
    handler = Handler(bench.sinks, bench.publisher, lambda: NOW)
    app = create_app(
        handler,
        bench,
        project="p",
        check_ready=bench.check_ready,
        pushes_in_hand=1,
        monotonic=lambda: now_s[0],
    )
    headers, body = FORMS["wrapped"](Message(data=event(), message_id="7"))

    def push():
        return app.test_client().post("/push/sensor-events", data=body, headers=headers).status_code

    with ThreadPoolExecutor() as pool:
        first = pool.submit(push)
        assert entered.wait(10)
        assert [push() for _ in range(4)] == [503] * 4
        assert refusals(caplog) == [1]
        now_s[0] += 1
        assert push() == 503
        assert refusals(caplog) == [1, 4]
        assert push() == 503
        assert app.test_client().get("/health").status_code == 200
        leave.set()
        assert first.result(10) == 204
    now_s[0] += 1
    assert push() == 204
    assert refusals(caplog) == [1, 4, 1]


def refusals(caplog):
    """How many refusals each log line counts."""
    lines = [record for record in caplog.records if record.message == "push.refused"]
    assert all([told["name"] for told in line.counts] == ["sensor-events"] for line in lines)
    return [line.counts[0]["count"] for line in lines]


SECRET = "s3cret"


def secretive(data, attributes):
    """A message that has the word everywhere but in the names of its fields."""
    return Message(data=data, message_id="7", attributes={"origin": SECRET} | attributes)


SECRETIVE = [
    ("sensor-events", SECRET.encode(), {}),
    ("sensor-events", SECRET.encode(), {"content-encoding": "gzip"}),
    ("sensor-events", event(kind=SECRET), {}),
    ("sensor-events", event(ts_iso=SECRET), {}),
    ("sensor-events", event(ts_iso="1970-01-01", station_id=SECRET), {}),
    ("sensor-events", event(delta=SECRET), {}),
    ("sensor-events", event(station_id=SECRET), {}),
    ("snapshots", snapshot(event_type=SECRET), {}),
    ("snapshots", snapshot(b'"%s"' % SECRET.encode()), {}),
    (
        "station-information",
        information(b'{"data":{"stations":[{"station_id":"%s"}]}}' % SECRET.encode()),
        {},
    ),
    ("ops-events", json.dumps({"id": "1", "type": SECRET, "time": SECRET}).encode(), {}),
    ("dead-letters", SECRET.encode(), {"pmp-reason": "schema", "pmp-detail": SECRET}),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("route", "data", "attributes"), SECRETIVE)
def test_nothing_of_a_message_is_in_the_log(bench, caplog, form, route, data, attributes):
    caplog.set_level(logging.DEBUG)
    headers, body = FORMS[form](secretive(data, attributes))
    for sink in bench.sinks.values():
        sink.rejects = lambda rows: [RejectedRow(rows[0], f"invalid value: {SECRET}")]
    bench.client.post(f"/push/{route}", data=body, headers=headers)
    bench.client.post(f"/push/{route}", data=body.replace(b'"message"', b'"massage"'), headers=headers)
    for sink in bench.sinks.values():
        sink.rejects = lambda rows: []
    bench.client.post(f"/push/{route}", data=body, headers=headers)
    lines = "".join(map(CloudJsonFormatter().format, caplog.records))
    assert '"message": "message.' in lines
    assert SECRET not in lines


CLAIMS_VERIFIER = ClaimsVerifier(audience="a", account="b", clock=lambda: 0.0)


@pytest.mark.parametrize(
    "verifier", [CLAIMS_VERIFIER, SignatureVerifier(CLAIMS_VERIFIER, dict, lambda: 100.0)]
)
@pytest.mark.parametrize(
    "token",
    [SECRET, f"{SECRET}.{SECRET}.{SECRET}", f"e30.{SECRET}.{SECRET}", f"e30.e30.{SECRET}", SECRET * 2000],
)
def test_nothing_of_a_token_is_in_the_log_or_the_answer(bench, caplog, verifier, token):
    caplog.set_level(logging.DEBUG)
    bench.verifier = verifier
    answer = bench.client.post("/push/sensor-events", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    lines = "".join(map(CloudJsonFormatter().format, caplog.records))
    assert "push.unauthenticated" in lines
    assert SECRET not in lines + answer.text


def test_a_long_id_does_not_make_a_long_line(bench, caplog):
    _, body = wrapped(Message(data=b"poison", message_id="7" * 1_000_000))
    assert bench.client.post("/push/sensor-events", data=body).status_code == 204
    (line,) = [record for record in caplog.records if record.message == "message.poisoned"]
    assert len(CloudJsonFormatter().format(line)) < 1000
