"""Where a feed may lead to: nobody on the internet sends the collector into the network that it runs in.

A gbfs.json and a redirect are written by somebody else. The host that a person configured may be anywhere; what it
leads to must be on the public internet, unless the configured host is itself inside (a local stack).

A name is looked up here and again by the connection: a server that changes its answer in between is not held off.
"""

import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Final

import httpx

LAST_PORT: Final = 65535
Lookup = Callable[[str], Iterable[str]]


class HostRefused(Exception):
    """The URL is none that may be asked; the message is one line for a person."""


def addresses(host: str) -> list[str]:
    """The addresses of a host; none where the name is not known here, and then nothing inside answers to it."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):  # UnicodeError: a label that is no host name
        return []
    return [str(address[0]) for *_, address in found]


def check(url: httpx.URL, *, configured: httpx.URL, lookup: Lookup = addresses) -> None:
    """Lets a URL pass, or not.

    Args:
        url: what is about to be asked.
        configured: the URL of the feeds file that led to it.

    Raises:
        HostRefused: neither http nor https, or a host inside that the configured one may not lead to.
    """
    if url.scheme not in {"http", "https"}:
        raise HostRefused(f"neither http nor https: {url.scheme!r:.20}")
    if not url.host or (url.port or 0) > LAST_PORT:
        raise HostRefused("the URL names no host, or no port")
    if url.host == configured.host or not _is_inside(url.host, lookup):
        return
    if not _is_inside(configured.host, lookup):
        raise HostRefused(f"{configured.host} leads to {url.host}, which is no public address")


def _is_inside(host: str, lookup: Lookup) -> bool:
    """Whether any address of a host is private, loopback, link-local, multicast or otherwise not global."""
    found = [ip_address(address) for address in lookup(host)]
    return any(not address.is_global or address.is_multicast for address in found)
