"""`pmpctl reconcile`: is everything that was published a row or a dead letter?

Publishers announce how many messages Pub/Sub confirmed, never which; so a missing message has no id here. What is
known by id is the other side: messages that arrived more than once, and events that were published again.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby, pairwise
from typing import Any, Final, Protocol

from rich.console import Console
from rich.table import Table

from pmp_schema.events import rfc3339
from pmp_schema.instants import parse_instant
from pmpctl.arrivals import MAX_REPEATS, Hour, Repeat
from pmpctl.errors import CommandError

# After its end an hour stays open this long: messages are on their way and counts are announced once a minute.
SETTLING: Final = timedelta(minutes=5)
_HOUR: Final = timedelta(hours=1)
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


class Status(StrEnum):
    OK = "ok"
    OPEN = "open"
    MISSING = "missing"
    SURPLUS = "surplus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An hour with its difference.

    Attributes:
        missing: published, and neither row nor dead letter: still on its way, or lost.
        surplus: arrived, and neither counted nor a duplicate: of a publisher that does not count.
    """

    hour: Hour
    missing: int
    surplus: int
    status: Status

    def as_json(self) -> dict[str, Any]:
        numbers = {f.name: getattr(self.hour, f.name) for f in fields(Hour) if f.name not in {"hour", "edge"}}
        difference = {"missing": self.missing, "surplus": self.surplus, "status": str(self.status)}
        return {"topic": numbers.pop("topic"), "hour": rfc3339(self.hour.hour), **numbers, **difference}


class Source(Protocol):
    """Where the numbers come from."""

    def hours(self, since: datetime) -> list[Hour]: ...

    def repeats(self, since: datetime) -> list[Repeat]: ...


def parse_since(text: str, now: datetime) -> datetime:
    """`90m`, `24h`, `7d`, or an RFC 3339 time.

    Raises:
        CommandError: neither, or not in the past.
    """
    match = re.fullmatch(r"(\d{1,5})([mhd])", text)
    try:
        at = now - timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else parse_instant(text)
    except (ValueError, OverflowError) as error:
        raise CommandError(f"--since {text}: must be like 90m, 24h, 7d or 2026-01-24T16:00:00Z") from error
    if at >= now:
        raise CommandError(f"--since {text}: must be in the past")
    return at


def judge(hours: Iterable[Hour], now: datetime) -> list[Verdict]:
    """A verdict for each hour, in the order of topic and hour.

    An hour that lacks messages is given those of the hour before that may have been counted in it.
    """
    ordered = sorted(hours, key=lambda hour: (hour.topic, hour.hour))
    return [
        verdict for _, of_topic in groupby(ordered, lambda h: h.topic) for verdict in _judge([*of_topic], now)
    ]


def _judge(hours: Sequence[Hour], now: datetime) -> list[Verdict]:
    taken = _taken_from_the_hour_before(hours)
    verdicts: list[Verdict] = []
    for index, hour in enumerate(hours):
        given = taken[index + 1] if index + 1 < len(hours) else 0
        excess = hour.excess + taken[index] - given
        missing, surplus = max(-excess, 0), max(excess - hour.duplicates, 0)
        status = Status.MISSING if missing else Status.SURPLUS if surplus else Status.OK
        if now < hour.hour + _HOUR + SETTLING:
            status = Status.OPEN
        verdicts.append(Verdict(hour=hour, missing=missing, surplus=surplus, status=status))
    return verdicts


def _taken_from_the_hour_before(hours: Sequence[Hour]) -> list[int]:
    """How many messages each hour counted that were published in the one before; as few as explain what it lacks."""
    available = [0]
    for before, hour in pairwise(hours):
        adjacent = hour.hour - before.hour == _HOUR
        spare = min(max(before.excess + available[-1], 0), before.edge)
        available.append(spare if adjacent else 0)
    taken = [0] * (len(hours) + 1)
    for index in reversed(range(len(hours))):
        needed = taken[index + 1] - hours[index].excess
        taken[index] = min(max(needed, 0), available[index])
    return taken[: len(hours)]


def run(
    source: Source,
    *,
    since: datetime,
    now: datetime,
    console: Console,
    ids: bool = False,
    as_json: bool = False,
) -> bool:
    """Shows the hours from the one of `since` on; returns whether no closed hour has missing messages."""
    first = since.replace(minute=0, second=0, microsecond=0)
    # One hour more: its last messages may have been counted in the first hour that is shown.
    verdicts = [v for v in judge(source.hours(first - _HOUR), now) if v.hour.hour >= first]
    repeats = source.repeats(first) if ids else []
    missing = sum(v.missing for v in verdicts if v.status is Status.MISSING)
    if as_json:
        document = {
            "since": rfc3339(first),
            "missing": missing,
            "hours": [v.as_json() for v in verdicts],
            **(
                {"repeats": [asdict(r) | {"publish_ts": rfc3339(r.publish_ts)} for r in repeats]}
                if ids
                else {}
            ),
        }
        console.out(json.dumps(document), highlight=False)
        return missing == 0
    console.print(
        _hours_table(verdicts) if verdicts else f"nothing published or arrived since {rfc3339(first)}"
    )
    if ids:
        console.print(
            _repeats_table(repeats) if repeats else "no message came twice, no event was published again"
        )
    if missing:
        console.print(
            f"[red]missing[/]: {missing} messages of closed hours are neither rows nor dead letters"
        )
    return missing == 0


def _hours_table(verdicts: Iterable[Verdict]) -> Table:
    table = Table(title="published = rows + dead letters, by hour of publishing (UTC)", title_justify="left")
    for name in ("topic", "hour"):
        table.add_column(name, no_wrap=True)
    numbers = ("published", "rows", "dead letters", "duplicates", "missing", "surplus")
    for name in numbers:
        table.add_column(name, justify="right")
    table.add_column("status")
    colours = {Status.OK: "green", Status.OPEN: "dim", Status.MISSING: "red", Status.SURPLUS: "yellow"}
    for verdict in verdicts:
        row = verdict.as_json()
        shown = (f"{row[name.replace(' ', '_')]:,}" for name in numbers)
        status = f"[{colours[verdict.status]}]{verdict.status}[/]"
        table.add_row(row["topic"], f"{verdict.hour.hour:%F %H:00}", *shown, status)
    return table


def _repeats_table(repeats: Sequence[Repeat]) -> Table:
    more = f", the last {MAX_REPEATS}" if len(repeats) == MAX_REPEATS else ""
    table = Table(title=f"messages that came twice, events published again{more}", title_justify="left")
    for name in ("topic", "published", "message id", "event", "what"):
        table.add_column(name, overflow="fold")
    for repeat in repeats:
        what = ["published again"] * repeat.published_again
        what += [f"delivered {repeat.deliveries} times"] * (repeat.deliveries > 1)
        table.add_row(
            repeat.topic, f"{repeat.publish_ts:%F %T}", repeat.message_id, repeat.event, ", ".join(what)
        )
    return table
