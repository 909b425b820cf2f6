"""`pmpctl reconcile`: the dlq-replayer's comparison of published messages, rows and dead letters, as tables."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from pmpctl.calls import Request
from pmpctl.dead_letters.replay import SERVICE
from pmpctl.terminal import cell, clock, narrow_table

# The service runs two queries of two calls each; by default a call takes 30 s at most.
REQUEST_TIMEOUT_S: Final = 150.0
_NUMBERS: Final = ("published", "rows", "dead_letters", "duplicates", "missing", "surplus")
_HEADERS: Final = {
    "published": "pub-\nlished",
    "dead_letters": "dead",
    "duplicates": "dupl.",
    "missing": "mis-\nsing",
    "surplus": "sur-\nplus",
}
_COLOURS: Final = {"ok": "green", "open": "dim", "missing": "red", "surplus": "yellow"}


def request(base_url: str, *, since: str, ids: bool) -> Request:
    """Asks for the hours and, with `ids`, for repeats; publishes no ops events."""
    query = {"since": since, "ids": "true" if ids else "false"}
    return Request(SERVICE, base_url, "GET", "/reconcile", query, timeout_s=REQUEST_TIMEOUT_S)


def show(found: Mapping[str, Any], console: Console) -> None:
    """Prints the tables."""
    hours, missing, repeats = found["hours"], found["missing"], found.get("repeats")
    console.print(_hours_table(hours) if hours else f"nothing published or arrived since {found['since']}")
    if repeats is not None:
        console.print(_repeats_table(repeats) if repeats else "no repeated messages or events")
    if missing:
        console.print(
            f"[red]missing[/]: {missing} messages of closed hours are neither rows nor dead letters"
        )


def _hours_table(hours: Sequence[Mapping[str, Any]]) -> Table:
    table = narrow_table("published = rows + dead letters, by hour of publishing (UTC)")
    for name in ("topic", "hour"):
        table.add_column(name, no_wrap=True)
    for name in _NUMBERS:
        table.add_column(_HEADERS.get(name, name), justify="right")
    table.add_column("status", no_wrap=True)
    for hour in hours:
        status = f"[{_COLOURS[hour['status']]}]{hour['status']}[/]"
        table.add_row(
            hour["topic"], clock(hour["hour"])[5:16], *(f"{hour[name]:,}" for name in _NUMBERS), status
        )
    return table


def _repeats_table(repeats: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="repeated messages and events, newest first", title_justify="left")
    for name in ("topic", "published", "message id", "event", "what"):
        table.add_column(name, overflow="fold")
    for repeat in repeats:
        what = ["published again"] * repeat["published_again"]
        what += [f"delivered {repeat['deliveries']} times"] * (repeat["deliveries"] > 1)
        row = (
            repeat["topic"],
            clock(repeat["publish_ts"]),
            repeat["message_id"],
            repeat["event"],
            ", ".join(what),
        )
        table.add_row(*map(cell, row))
    return table
