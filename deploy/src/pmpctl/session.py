"""One run of a command: its target's variables, and connections that are made when they are first used."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import httpx
import typer

from pmp_runtime.config import ConfigError, require
from pmpctl.calls import Call, Request
from pmpctl.errors import CommandError, no_credentials
from pmpctl.http import Identity, unreachable
from pmpctl.local.ports import listens
from pmpctl.target import Target, check_options, settings

if TYPE_CHECKING:
    from google.cloud import bigquery

    from pmp_runtime.bigquery.queries import Queries
    from pmpctl.cloud.clients import Google
    from pmpctl.project.resources import Clients

CONNECT_TIMEOUT_S: Final = 10.0
_CONNECT_RETRIES: Final = 2


def _require_answer(emulator: str | None) -> None:
    """Google's clients would try to connect for minutes."""
    if emulator is not None and not listens(emulator.partition("://")[2] or emulator):
        raise CommandError(f"nothing answers at {emulator}; `make up` starts the stack")


def _google(project: str, region: str) -> "Google":
    from pmpctl.cloud.clients import connect  # noqa: PLC0415 - Google's clients take a second to import

    return connect(project, region)


def _bigquery(project: str, emulator: str | None) -> "bigquery.Client":
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

    from pmp_runtime.bigquery.queries import query_client  # noqa: PLC0415

    _require_answer(emulator)
    try:
        return query_client(project, emulator)
    except GoogleAuthError as error:
        raise no_credentials(error) from error


def _token(audience: str, env: Mapping[str, str]) -> str:
    from pmpctl.cloud.identity import identity_token  # noqa: PLC0415

    return identity_token(audience, env)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """How commands reach what is outside of this process; tests replace parts of it.

    Attributes:
        google: the APIs of a project and region.
        bigquery: a client of a project, or of an emulator.
        token: an identity token for an audience.
        pause: sleeps for some seconds.
    """

    google: Callable[[str, str], "Google"] = _google
    bigquery: Callable[[str, str | None], "bigquery.Client"] = _bigquery
    token: Callable[[str, Mapping[str, str]], str] = _token
    pause: Callable[[float], None] = time.sleep


class Session:
    """Raises:
    CommandError: from each method, if something cannot be reached or a variable is not set.
    """

    def __init__(self, connections: Connections, target: Target) -> None:
        self.target = target
        self.env = settings(target)
        self._connections = connections
        self._clients: dict[str, httpx.Client] = {}

    @property
    def local(self) -> bool:
        return self.target is Target.LOCAL

    def require(self, *names: str) -> tuple[str, ...]:
        """The values of variables.

        Raises:
            CommandError: some are not set; the message names all of them.
        """
        try:
            return require(self.env, *names)
        except ConfigError as error:
            said = (
                ""
                if self.local
                else "; `terraform output environment` prints them (docs/3-deploy.md, step 6)"
            )
            raise CommandError(f"{error}{said}") from None

    @cached_property
    def google(self) -> "Google":
        project, region = self.require("PROJECT_ID", "REGION")
        return self._connections.google(project, region)

    @cached_property
    def emulators(self) -> "Clients":
        """Clients that prepare the emulators."""
        from pmpctl.project.resources import connect  # noqa: PLC0415 - Google's clients take a second to import

        names = ("PROJECT_ID", "PUBSUB_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST")
        project, pubsub, bigquery = self.require(*names)
        _require_answer(pubsub)
        _require_answer(bigquery)
        return connect(project, pubsub_emulator=pubsub, bigquery_emulator=bigquery)

    @cached_property
    def bigquery(self) -> "bigquery.Client":
        (project,) = self.require("PROJECT_ID")
        return self._connections.bigquery(project, self.env.get("BIGQUERY_EMULATOR_HOST"))

    def queries(self, package: str, timeout_s: float) -> "Queries":
        """The `.sql` files of a package; `timeout_s` is for one call, retries included."""
        from pmp_runtime.bigquery.queries import Queries  # noqa: PLC0415 - Google's client takes a second to import

        return Queries(self.bigquery, package, timeout_s=timeout_s)

    def url(self, service: str) -> str:
        """Where a service listens, from its variable."""
        (url,) = self.require(f"{service.upper()}_URL")
        return url.rstrip("/")

    def _http(self, base_url: str) -> httpx.Client:
        """The client of a service, open until `close`; in the cloud it sends an identity token."""
        if base_url not in self._clients:
            self._clients[base_url] = httpx.Client(
                base_url=base_url,
                auth=None if self.local else Identity(lambda: self._connections.token(base_url, self.env)),
                timeout=CONNECT_TIMEOUT_S,
                # Only connecting is tried again: a request that was sent is not sent twice.
                transport=httpx.HTTPTransport(retries=_CONNECT_RETRIES),
                # A proxy of the environment is only for the cloud.
                trust_env=not self.local,
            )
        return self._clients[base_url]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def send(self, request: Request) -> httpx.Response:
        """Sends a request; a response of any status is returned.

        Raises:
            Unreachable: there is no response.
        """
        with self._readable_failures(request):
            return self._response(request)

    @contextmanager
    def stream(self, request: Request, accept: str) -> Iterator[httpx.Response]:
        """Sends a request; the response can be read while it arrives.

        Args:
            accept: the media type of the response.

        Raises:
            Unreachable: there is no response, or it breaks off.
        """
        with (
            self._readable_failures(request),
            closing(self._response(request, {"Accept": accept}, stream=True)) as response,
        ):
            yield response

    @contextmanager
    def _readable_failures(self, request: Request) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            raise unreachable(request, error, local=self.local) from error

    def _response(
        self, request: Request, headers: Mapping[str, str] | None = None, *, stream: bool = False
    ) -> httpx.Response:
        client = self._http(request.base_url)
        built = client.build_request(
            request.method,
            request.path,
            params=dict(request.query),
            json=request.body,
            headers=headers,
            timeout=httpx.Timeout(CONNECT_TIMEOUT_S, read=request.timeout_s),
        )
        return client.send(built, stream=stream)

    def carry_out(
        self, calls: Sequence[Call], *, dry_run: bool, quiet: bool = False, go_on: bool = False
    ) -> None:
        """Prints and makes calls, one after the other; a dry run only prints.

        Args:
            quiet: prints nothing.
            go_on: makes the later calls if one fails, too.

        Raises:
            CommandError: calls failed.
        """
        failures: list[str] = []
        for call in calls:
            if not quiet:
                typer.echo(str(call))
            if dry_run:
                continue
            try:
                self.google.change(call)
            except CommandError as error:
                failures.append(str(error))
                if not go_on:
                    break
        if failures:
            raise CommandError("; ".join(failures))

    def pause(self, seconds: float) -> None:
        self._connections.pause(seconds)


def open_session(context: typer.Context, target: Target) -> Session:
    """A session until the command's end.

    Raises:
        CommandError: an option was given that only the other target has.
    """
    check_options(context, target)
    session = Session(context.obj or Connections(), target)
    context.call_on_close(session.close)
    return session
