import io
import json
import logging

import pytest
from gunicorn.http.errors import InvalidChunkSize

from pmp_runtime.http.service import create_service, error, read_body
from pmp_runtime.logs import CloudJsonFormatter
from pmp_schema.errors import SinkUnavailable

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Readiness:
    def __init__(self):
        self.problem = None

    def __call__(self):
        if self.problem is not None:
            raise self.problem


@pytest.fixture
def ready():
    return Readiness()


@pytest.fixture
def app(ready):
    app = create_service("pmp_test", project="p", max_body_bytes=10, check_ready=ready)

    @app.post("/echo")
    def echo():
        return read_body()

    @app.get("/broken")
    def broken():
        raise ZeroDivisionError("secret detail")

    @app.get("/away")
    def away():
        raise SinkUnavailable("raw_events: NotFound")

    @app.get("/log")
    def log():
        logging.getLogger("pmp_test.service").warning("request.seen")
        return "", 204

    return app


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.mark.parametrize("path", ["/health", "/healthz"])
def test_health_asks_no_dependency(client, ready, path):
    ready.problem = SinkUnavailable("down")
    assert client.get(path).status_code == 200


def test_readiness_follows_the_dependencies(client, ready):
    assert client.get("/readyz").status_code == 200
    ready.problem = SinkUnavailable("raw_events: ServiceUnavailable")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json == {"error": {"reason": "not_ready", "message": "raw_events: ServiceUnavailable"}}


def test_an_unknown_route_is_404_in_json(client):
    answer = client.get("/nowhere")
    assert (answer.status_code, answer.json["error"]["reason"]) == (404, "not_found")


def test_a_wrong_method_is_405_and_names_the_right_ones(client):
    answer = client.get("/echo")
    assert (answer.status_code, answer.json["error"]["reason"]) == (405, "method_not_allowed")
    assert set(answer.allow) == {"POST", "OPTIONS"}


def test_a_long_body_is_413(client):
    assert client.post("/echo", data=b"x" * 10).data == b"x" * 10
    answer = client.post("/echo", data=b"x" * 11)
    assert (answer.status_code, answer.json["error"]["reason"]) == (413, "request_entity_too_large")


@pytest.mark.parametrize(("size", "status"), [(9, 200), (10, 413), (11, 413), (100_000, 413)])
def test_a_chunked_body_is_never_cut_silently(client, size, status):
    answer = client.post(
        "/echo",
        input_stream=io.BytesIO(bytes(size)),
        environ_overrides={"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True},
    )
    assert answer.status_code == status


class BrokenChunks(io.RawIOBase):
    def readable(self):
        return True

    def readinto(self, buffer):
        raise InvalidChunkSize(b"secret")


def test_broken_chunks_are_400_and_no_bug(client, caplog):
    overrides = {"wsgi.input": BrokenChunks(), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    answer = client.post("/echo", environ_overrides=overrides)
    assert answer.status_code == 400
    assert answer.json == {"error": {"reason": "bad_request", "message": "broken chunks"}}
    assert caplog.records == []


def test_a_bug_is_500_without_its_trace_and_logged_with_it(client, caplog):
    answer = client.get("/broken")
    assert answer.status_code == 500
    assert answer.json == {"error": {"reason": "internal", "message": "unexpected error; see the log"}}
    (record,) = caplog.records
    assert (record.message, record.path) == ("request.failed", "/broken")
    assert record.exc_info[0] is ZeroDivisionError


@pytest.fixture
def stream():
    """What the application logs, as JSON lines."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(CloudJsonFormatter())
    logging.getLogger("pmp_test.service").addHandler(handler)
    yield stream
    logging.getLogger("pmp_test.service").removeHandler(handler)


def test_lines_of_a_request_carry_its_trace_and_those_after_it_do_not(client, stream):
    client.get("/log", headers={"X-Cloud-Trace-Context": f"{TRACE}/1"})
    client.get("/log")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    field = "logging.googleapis.com/trace"
    assert [line.get(field) for line in lines] == [f"projects/p/traces/{TRACE}", None]


def test_what_may_go_better_is_503_says_when_to_come_again_and_is_one_warning(client, caplog):
    answer = client.get("/away")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json == {"error": {"reason": "unavailable", "message": "raw_events: NotFound"}}
    (line,) = caplog.records
    assert (line.levelname, line.message, line.cause) == (
        "WARNING",
        "request.unavailable",
        "SinkUnavailable: raw_events: NotFound",
    )


def test_an_error_can_say_when_to_come_again(app):
    with app.test_request_context():
        answer = error(503, "unavailable", "later", retry_after_s=5)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


@pytest.mark.parametrize(
    ("path", "expected"), [("/whole", ["sent", "flushed"]), ("/stream", ["sent", "flushed"])]
)
def test_counts_are_flushed_once_at_the_end_of_a_request(path, expected):
    events = []
    app = create_service(
        "pmp_test",
        project="p",
        max_body_bytes=10,
        check_ready=lambda: None,
        flush_counts=lambda: events.append("flushed"),
    )

    @app.get("/whole")
    def whole():
        events.append("sent")
        return "a"

    @app.get("/stream")
    def stream():
        def lines():
            events.append("sent")
            yield b"a"

        return app.response_class(lines())

    with app.test_client().get(path) as response:
        assert response.data == b"a"
    assert events == expected
