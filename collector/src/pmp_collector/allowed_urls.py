"""Which URLs may be fetched: a feed must not lead the collector into its own network.

A gbfs.json and a redirect are written by others. The configured host may be anywhere. Other hosts that it leads to must
have public addresses, unless the configured host itself is inside (a local stack).

The connection looks the name up again: a DNS server that changes its answer in between is not stopped.
"""

import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Final

import httpx

LAST_PORT: Final = 65535
Lookup = Callable[[str], Iterable[str]]


class UrlRefused(Exception):
    """The URL must not be fetched; the message is one line for a person."""


def addresses(host: str) -> list[str]:
    """The addresses of a host; empty for an unknown name, which then cannot be a host inside either."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):  # UnicodeError: an invalid label
        return []
    return [str(address[0]) for *_, address in found]


def check(url: httpx.URL, *, configured: httpx.URL, lookup: Lookup = addresses) -> None:
    """Args:
        url: what is about to be fetched.
        configured: the URL in the feeds file that led to it.

    Raises:
        UrlRefused: neither http nor https, or an inside host that the configured host may not lead to.
    """
    if url.scheme not in {"http", "https"}:
        raise UrlRefused(f"the URL scheme is neither http nor https: {url.scheme!r:.20}")
    if not url.host or (url.port or 0) > LAST_PORT:
        raise UrlRefused("the URL has no host, or an invalid port")
    if url.host == configured.host or not _is_inside(url.host, lookup):
        return
    if not _is_inside(configured.host, lookup):
        raise UrlRefused(f"{configured.host} leads to {url.host}, which is not a public address")


def _is_inside(host: str, lookup: Lookup) -> bool:
    """Whether any address of a host is private, loopback, link-local, multicast or otherwise not global."""
    found = [ip_address(address) for address in lookup(host)]
    return any(not address.is_global or address.is_multicast for address in found)
