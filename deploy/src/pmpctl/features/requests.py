"""`pmpctl features`: asks the feature-launcher for a run, and how it goes."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from pmpctl.calls import Request
from pmpctl.errors import CommandError, Unreachable
from pmpctl.http import answer
from pmpctl.session import Session

ENDED: Final = frozenset({"succeeded", "failed"})
POLL_S: Final = 5.0
WAIT_S: Final = 3600.0
# A launcher that is being replaced is back within that; after the last one it is given up.
_PAUSES_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0)


def run_request(base_url: str, *, as_of: str | None, known_at: str | None, engine: str | None) -> Request:
    """The launcher gives what is not asked for its defaults."""
    given = {"as_of": as_of, "known_at": known_at, "engine": engine}
    body = {name: value for name, value in given.items() if value is not None}
    return Request("launcher", base_url, "POST", "/runs", body=body, timeout_s=120.0)


def status_request(base_url: str, run_id: str) -> Request:
    return Request("launcher", base_url, "GET", f"/runs/{quote(run_id, safe='')}")


def wait(
    run: Mapping[str, Any],
    look: Callable[[str], Mapping[str, Any]],
    tell: Callable[[str], None],
    pause: Callable[[float], None],
) -> Mapping[str, Any]:
    """Looks until a run has ended.

    Raises:
        CommandError: it has not within an hour.
    """
    for _ in range(int(WAIT_S / POLL_S)):
        if run["status"] in ENDED:
            return run
        tell(f"run {run['run_id']} is {run['status']}")
        pause(POLL_S)
        run = look(str(run["run_id"]))
    raise CommandError(f"run {run['run_id']} is still {run['status']} after {WAIT_S / 60:.0f} minutes")


def ask(session: Session, request: Request) -> dict[str, Any]:
    """The launcher's answer; asked again where it does not answer for the moment: twice is one run.

    Raises:
        CommandError: it refuses, or does not answer for long.
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
