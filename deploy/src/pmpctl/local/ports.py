"""Which port each part of the local stack listens on."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pmp_schema.topology import TOPOLOGY
from pmpctl.errors import CommandError

LOOPBACK: Final = "127.0.0.1"
DEFAULT_BASE: Final = 8080
OFFSETS: Final = {
    **{key: service.local_port - DEFAULT_BASE for key, service in TOPOLOGY.services.items()},
    "pubsub": 5,
    "feed": 6,
    "bigquery": 970,
    "bigquery-grpc": 980,
}
_HIGHEST_BASE: Final = 65535 - max(OFFSETS.values())


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one stack; another base moves them all, so that two stacks run side by side."""

    base: int = DEFAULT_BASE

    @classmethod
    def parse(cls, base: str | None) -> "Ports":
        """Reads the value of `PMP_PORT_BASE`; unset and empty mean the default.

        Raises:
            CommandError: not a number, or ports outside 1024 to 65535.
        """
        if not base:
            return cls()
        if not (base.isascii() and base.isdigit() and 1024 <= int(base) <= _HIGHEST_BASE):
            raise CommandError(f"PMP_PORT_BASE={base}: must be a number from 1024 to {_HIGHEST_BASE}")
        return cls(int(base))

    def of(self, name: str) -> int:
        """The port of a part.

        Raises:
            KeyError: no part has this name.
        """
        return self.base + OFFSETS[name]

    def url(self, name: str) -> str:
        return f"http://{LOOPBACK}:{self.of(name)}"

    def address(self, name: str) -> str:
        return f"{LOOPBACK}:{self.of(name)}"


def require_answer(address: str) -> None:
    """Checks that the Pub/Sub emulator of the shell listens.

    Raises:
        CommandError: it does not.
    """
    if not listens(address):
        raise CommandError(f"PUBSUB_EMULATOR_HOST={address} does not answer: start it, or unset the variable")


def listens(address: str) -> bool:
    """Whether anything takes connections at `host:port`."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2.0).close()
    except (OSError, ValueError):
        return False
    return True


def require_free(wanted: Iterable[tuple[str, int]]) -> None:
    """Checks `(process, port)` pairs before anything is started.

    Raises:
        CommandError: a port is in use; the message names it, its process and the way out.
    """
    for name, port in wanted:
        if not _free(port):
            raise CommandError(
                f"port {port} (wanted by {name}) is in use: stop what listens there, "
                "or set PMP_PORT_BASE to move all ports of this stack"
            )


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # Servers set this too: a port in TIME_WAIT is free, a port that listens is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
