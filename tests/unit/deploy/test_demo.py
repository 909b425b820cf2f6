import io

import httpx
import pytest
from rich.console import Console

from pmpctl.demo import run as demo
from pmpctl.demo.landed import Published
from pmpctl.errors import CommandError


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200)


def collect(console, answer):
    """Collects the one feed of a recording from a collector that gives an answer."""
    transport = httpx.MockTransport(lambda request: answer)
    with httpx.Client(base_url="http://c:1", transport=transport) as collector:
        report = demo.Report(feed="simulated")
        demo._collect("x", collector, {"station_information"}, Published(), report, console)


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
def test_what_the_collector_says_is_one_line(console, answer, said):
    with pytest.raises(CommandError) as raised:
        collect(console, answer)
    assert str(raised.value) == said


def test_only_what_a_person_can_mend_is_a_line(console):
    def unmendable():
        raise ValueError("a bug")

    def mendable():
        raise CommandError("a port is taken")

    with pytest.raises(ValueError, match="a bug"):
        demo._attempt(console, unmendable)
    assert demo._attempt(console, mendable) is False
    assert console.file.getvalue() == "failed  a port is taken\n"
