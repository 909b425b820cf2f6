import io
import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pmp_runtime import logs
from tests.fakes.clock import Clock

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def logged():
    """Returns a logger and a function that reads its lines as objects."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.CloudJsonFormatter())
    logger = logging.getLogger("pmp_test.logs")
    logger.addHandler(handler)
    logger.setLevel("DEBUG")
    logger.propagate = False
    yield logger, lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)


def test_a_line_is_what_cloud_logging_reads(logged):
    logger, lines = logged
    logger.warning("message.poisoned", extra={"reason": "schema", "count": 2})
    (line,) = lines()
    assert line.pop("time").endswith("Z")
    assert line == {
        "severity": "WARNING",
        "message": "message.poisoned",
        "logger": "pmp_test.logs",
        "reason": "schema",
        "count": 2,
    }


def test_an_exception_is_part_of_its_line(logged):
    logger, lines = logged
    try:
        raise ValueError("odd")
    except ValueError:
        logger.exception("request.failed")
    (line,) = lines()
    assert line["severity"] == "ERROR"
    assert line["stack_trace"].startswith("Traceback")
    assert line["stack_trace"].endswith("ValueError: odd")


@pytest.mark.parametrize("value", ["Vélib\n\u2028", "\ud800", b"\xff", object(), {"a": {1}}])
def test_no_value_can_break_a_line(logged, value):
    logger, lines = logged
    logger.info("value.seen", extra={"value": value})
    assert len(lines()) == 1


def test_bound_fields_are_in_every_line_of_the_block(logged):
    logger, lines = logged
    with logs.bound(message_id="1", route="a"):
        with logs.bound(route="b"):
            logger.info("x")
        logger.info("x")
    logger.info("x")
    assert [(line.get("message_id"), line.get("route")) for line in lines()] == [
        ("1", "b"),
        ("1", "a"),
        (None, None),
    ]


def test_bound_fields_do_not_reach_other_threads(logged):
    logger, lines = logged
    with logs.bound(message_id="1"):
        other = threading.Thread(target=logger.info, args=("x",))
        other.start()
        other.join()
    assert "message_id" not in lines()[0]


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"X-Cloud-Trace-Context": f"{TRACE}/123;o=1"}, True),
        ({"X-Cloud-Trace-Context": TRACE}, True),
        ({"Traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, True),
        ({}, False),
        ({"Traceparent": ""}, False),
        ({"Traceparent": "00"}, False),
        ({"X-Cloud-Trace-Context": "x/y"}, False),
    ],
)
def test_a_line_has_the_trace_of_its_request_if_there_is_one(headers, found):
    field = {"logging.googleapis.com/trace": f"projects/p/traces/{TRACE}"}
    assert logs.trace_fields(headers, "p") == (field if found else {})


@pytest.mark.parametrize(("level", "sent"), [("debug", "abcd"), ("error", "d")])
def test_configure_sends_our_lines_from_the_level_on_and_warnings_of_others(level, sent):
    stream = io.StringIO()
    logs.configure(level, stream)
    logging.getLogger("pmp_writer.app").debug("a")
    logging.getLogger("library.of.others").info("a URL with a key")
    logging.getLogger("library.of.others").warning("b")
    logging.getLogger("pmp_writer.app").warning("c")
    logging.getLogger("pmp_writer.app").error("d")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == list(sent)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tally(logged, clock):
    logger, _ = logged
    return logs.Tally(logger, "things.happened", interval_s=10, monotonic=clock, place="here")


def told(lines):
    """Names to counts, line by line."""
    return [{count["name"]: count["count"] for count in line["counts"]} for line in lines()]


def test_the_first_is_told_at_once_and_the_others_together(logged, tally, clock):
    _, lines = logged
    tally.add("a")
    assert told(lines) == [{"a": 1}]
    for _ in range(3):
        tally.add("b", "a")
    tally.flush()
    assert len(lines()) == 1
    clock.now_s += 10
    tally.flush()
    tally.flush()
    assert told(lines) == [{"a": 1}, {"b": 3, "a": 3}]
    assert {(line["message"], line["severity"], line["place"]) for line in lines()} == {
        ("things.happened", "WARNING", "here")
    }


def test_names_from_outside_are_bounded_in_number_and_length(logged, tally, clock):
    _, lines = logged
    tally.add("n" * 10_000)
    tally.add(*(f"n{number}" for number in range(1000)))
    clock.now_s += 10
    tally.flush()
    first, second = told(lines)
    assert first == {"n" * 64: 1}
    assert len(second) == 21
    assert second["..."] == 980


def test_nothing_is_counted_twice_or_lost_by_threads(logged, clock):
    logger, lines = logged
    tally = logs.Tally(logger, "things.happened", interval_s=0, monotonic=clock)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(lambda: [tally.add("a") for _ in range(500)])
    assert sum(counts["a"] for counts in told(lines)) == 4000


@pytest.mark.parametrize(
    ("message", "left"),
    [
        (
            "Invalid request from ip=::1: Invalid HTTP request line: 'secret: x\n'",
            "Invalid HTTP request line",
        ),
        ("Invalid request from ip=: Invalid HTTP Header: 'secret'", "Invalid HTTP Header"),
        ("Booting worker with pid: 7", "Booting worker with pid: 7"),
    ],
)
def test_what_gunicorn_could_not_read_is_not_told(message, left):
    record = logging.makeLogRecord({"msg": message})
    assert logs.Unquoted().filter(record)
    assert record.getMessage().endswith(left)
