"""Requests to the feature-launcher: start a feature run, look at it, wait for its end."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from pmpctl.calls import Request
from pmpctl.errors import CommandError, Unreachable
from pmpctl.http import answer
from pmpctl.session import Session

FeatureRun = Mapping[str, Any]
"""A feature run as the launcher describes it."""

_ENDED: Final = frozenset({"succeeded", "failed"})
_POLL_S: Final = 5.0
_WAIT_S: Final = 3600.0
# A launcher that is being replaced answers again within this time.
_PAUSES_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0)


def run_request(session: Session, *, as_of: str | None, known_at: str | None, engine: str | None) -> Request:
    """The launcher has a default for each value that is None."""
    given = {"as_of": as_of, "known_at": known_at, "engine": engine}
    body = {name: value for name, value in given.items() if value is not None}
    return Request("launcher", session.url("launcher"), "POST", "/runs", body=body, timeout_s=120.0)


def look(session: Session, run_id: str) -> dict[str, Any]:
    """The feature run as it is now.

    Raises:
        CommandError: the launcher refuses, or does not answer for half a minute.
    """
    path = f"/runs/{quote(run_id, safe='')}"
    return ask(session, Request("launcher", session.url("launcher"), "GET", path))


def wait(session: Session, run: FeatureRun, show: Callable[[str], None]) -> FeatureRun:
    """Looks until a feature run has ended.

    Raises:
        CommandError: it has not ended within an hour.
    """
    for _ in range(int(_WAIT_S / _POLL_S)):
        if run["status"] in _ENDED:
            return run
        show(f"feature run {run['run_id']} is {run['status']}")
        session.pause(_POLL_S)
        run = look(session, str(run["run_id"]))
    raise CommandError(
        f"feature run {run['run_id']} is still {run['status']} after {_WAIT_S / 60:.0f} minutes"
    )


def ask(session: Session, request: Request) -> dict[str, Any]:
    """Sends a request again while the launcher is unavailable; a request for the same `as_of` gets the same run.

    Raises:
        CommandError: the launcher refuses, or does not answer for half a minute.
    """
    for pause_s in _PAUSES_S:
        try:
            response = session.send(request)
        except Unreachable:
            session.pause(pause_s)
            continue
        if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            return answer(response, "launcher")
        session.pause(pause_s)
    return answer(session.send(request), "launcher")
