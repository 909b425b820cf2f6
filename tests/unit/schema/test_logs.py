import io
import json
import logging
import threading

import pytest

from pmp_schema import logs

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
    "headers",
    [
        {"X-Cloud-Trace-Context": f"{TRACE}/123;o=1"},
        {"X-Cloud-Trace-Context": TRACE},
        {"Traceparent": f"00-{TRACE}-b7ad6b7169203331-01"},
    ],
)
def test_the_trace_of_a_request_is_found(headers):
    assert logs.trace_fields(headers, "p") == {"logging.googleapis.com/trace": f"projects/p/traces/{TRACE}"}


@pytest.mark.parametrize(
    "headers", [{}, {"Traceparent": ""}, {"Traceparent": "00"}, {"X-Cloud-Trace-Context": "x/y"}]
)
def test_without_a_trace_there_is_no_field(headers):
    assert logs.trace_fields(headers, "p") == {}


@pytest.fixture
def loggers():
    """Puts the process's logging back as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    for package in logs.OWN_PACKAGES:
        logging.getLogger(package).setLevel(logging.NOTSET)


def test_configure_sends_our_lines_from_the_level_on_and_warnings_of_others(loggers):
    stream = io.StringIO()
    logs.configure("debug", stream)
    logging.getLogger("pmp_writer.app").debug("ours")
    logging.getLogger("library.of.others").info("a URL with a key")
    logging.getLogger("library.of.others").warning("theirs")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["ours", "theirs"]


def test_configure_leaves_out_what_is_below_the_level(loggers):
    stream = io.StringIO()
    logs.configure("error", stream)
    logging.getLogger("pmp_writer.app").warning("a")
    logging.getLogger("library.of.others").warning("b")
    logging.getLogger("pmp_writer.app").error("c")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["c"]
