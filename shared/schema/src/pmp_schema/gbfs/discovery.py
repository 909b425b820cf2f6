"""Reads gbfs.json of any version: which feeds a system offers, by name and URL."""

from collections.abc import Iterable
from typing import Any

from pmp_schema.errors import PoisonMessage, Reason
from pmp_schema.gbfs.document import Document
from pmp_schema.gbfs.values import choose_language


def feed_urls(document: Document, *, language: str | None = None) -> dict[str, str]:
    """Feed name to URL.

    GBFS 3 lists `data.feeds`; 1 and 2 list `data.<language>.feeds`, of which the wanted language is taken, else
    English, else the first. Entries without a name or an http URL are ignored.

    Args:
        document: a gbfs.json.
        language: for example `fr`; also matches `fr-CA`.

    Raises:
        PoisonMessage: `schema`; it lists no feeds.
    """
    found = _named(_entries(document.data, language))
    if not found:
        raise PoisonMessage(Reason.SCHEMA, "the discovery document lists no feed")
    return found


def _entries(data: dict[str, Any], language: str | None) -> list[Any]:
    if isinstance(data.get("feeds"), list):
        feeds: list[Any] = data["feeds"]
        return feeds
    by_language = {
        key: value["feeds"]
        for key, value in data.items()
        if isinstance(value, dict) and isinstance(value.get("feeds"), list) and value["feeds"]
    }
    chosen = choose_language(by_language, language)
    return [] if chosen is None else by_language[chosen]


def _named(entries: Iterable[Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        name, url = entry.get("name"), entry.get("url")
        if not isinstance(name, str) or not isinstance(url, str):
            continue
        name, url = name.strip().removesuffix(".json"), url.strip()
        if name and url.lower().startswith(("http://", "https://")):
            found.setdefault(name, url)
    return found
