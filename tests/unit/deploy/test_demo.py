import io
import json

import httpx
import pytest
from rich.console import Console

from pmpctl.demo.run import Demo, Report, run
from pmpctl.errors import CommandError
from pmpctl.local.local_stack import LocalStack


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def demo(console, tmp_path):
    return Demo(LocalStack.from_env({}, tmp_path), Report(feed="simulated"), console)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(500, text="<html>\nBad</html>"), "collector answered 500: <html> Bad</html>"),
        (
            httpx.Response(502, json={"results": [{"outcome": "failed", "detail": "the feed is away"}]}),
            "collect station_information: failed: the feed is away",
        ),
    ],
)
def test_an_error_of_the_collector_is_one_line(demo, answer, said):
    transport = httpx.MockTransport(lambda request: answer)
    with (
        httpx.Client(base_url="http://c:1", transport=transport) as collector,
        pytest.raises(CommandError) as raised,
    ):
        demo.collect(collector, {"station_information"})
    assert str(raised.value) == said


def test_only_what_a_person_can_mend_is_a_line(demo, console):
    def unmendable():
        raise ValueError("a bug")

    def mendable():
        raise CommandError("a port is taken")

    with pytest.raises(ValueError, match="a bug"):
        demo.attempt(unmendable)
    assert demo.attempt(mendable) is False
    assert console.file.getvalue() == "failed  a port is taken\n"


def test_a_demo_that_fails_says_why_on_the_console_and_in_its_report(console, tmp_path):
    report = tmp_path / "demo.json"
    assert run("no/such/folder", LocalStack.from_env({}, tmp_path), report, console) is False
    assert "failed  --feed no/such/folder: neither simulated nor live" in console.file.getvalue()
    written = json.loads(report.read_text())
    assert (written["ok"], [(step["name"], step["ok"]) for step in written["steps"]]) == (
        False,
        [("start the stack", False)],
    )
