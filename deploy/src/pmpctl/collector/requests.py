"""`pmpctl collect` and `pmpctl simulate`: what the collector is asked, and what it says."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx
from rich.table import Table

from pmpctl.calls import Request
from pmpctl.errors import CommandError
from pmpctl.http import answer
from pmpctl.terminal import cell, narrow_table

FEEDS: Final = ("station_status", "station_information")
# All systems are polled in one request; Cloud Run ends it after 300 s.
COLLECT_TIMEOUT_S: Final = 300.0
_COLOURS: Final = {"published": "green", "unchanged": "dim", "failed": "red"}


def collect_requests(base_url: str, feeds: Sequence[str], system: str | None) -> tuple[Request, ...]:
    query = {} if system is None else {"system": system}
    return tuple(
        Request("collector", base_url, "POST", f"/collect/{feed}", query, timeout_s=COLLECT_TIMEOUT_S)
        for feed in feeds
    )


def simulate_request(base_url: str, wanted: Mapping[str, Any]) -> Request:
    """The collector answers when the last event is published."""
    given = {name: value for name, value in wanted.items() if value is not None}
    seconds = given["events"] / given["rate_per_s"] if given.get("rate_per_s") else 0.0
    return Request("collector", base_url, "POST", "/simulate", body=given, timeout_s=seconds + 60.0)


def results(response: httpx.Response) -> list[dict[str, Any]]:
    """What became of each system; also of an answer that says that all of them failed.

    Raises:
        CommandError: the answer is something else.
    """
    if response.status_code == httpx.codes.BAD_GATEWAY:
        try:
            found: list[dict[str, Any]] = response.json()["results"]
        except (ValueError, KeyError, TypeError):
            raise CommandError(f"collector answered {response.status_code}") from None
        return found
    told: list[dict[str, Any]] = answer(response, "collector")["results"]
    return told


def results_table(found: Sequence[Mapping[str, Any]]) -> Table:
    table = narrow_table()
    for name in ("system", "feed", "outcome"):
        table.add_column(name, no_wrap=True)
    table.add_column("stations", justify="right")
    table.add_column("bytes", justify="right")
    for name in ("feed time", "message", "detail"):
        table.add_column(name, overflow="fold")
    for result in found:
        outcome = result["outcome"]
        table.add_row(
            result["system"],
            result["feed"],
            f"[{_COLOURS.get(outcome, 'yellow')}]{outcome}[/]",
            _number(result.get("stations")),
            _number(result.get("bytes")),
            str(result.get("feed_ts") or "-"),
            str(result.get("message_id") or "-"),
            cell(result.get("detail") or ""),
        )
    return table


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
