"""Reads single values as producers write them: counts, booleans, texts, degrees, languages."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from pmp_schema.gbfs.quality import FLAG_INVALID, note

FIRST_IMPLAUSIBLE: Final = 99_999
"""Placeholders for "unlimited" start here (Lime writes 999999); stations are never that large."""

_WHOLE: Final = re.compile(r"[+-]?\d{1,18}(\.0*)?", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?\d{1,18}(\.\d*)?", re.ASCII)
_FLAGS: Final[dict[object, bool]] = {
    0: False, "0": False, "false": False, "no": False, "non": False,
    1: True, "1": True, "true": True, "yes": True, "oui": True,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CountField:
    """A count of a station.

    Attributes:
        column: its name in the tables and the first part of its findings.
        key: the key that most producers use.
        alternates: other keys; the first present one counts.
    """

    column: str
    key: str
    alternates: tuple[str, ...] = ()

    def read(self, station: dict[str, Any], findings: list[str]) -> int | None:
        """The value of the first present key that is not null; None if it is unusable."""
        value = station.get(self.key)
        if type(value) is int and 0 <= value < FIRST_IMPLAUSIBLE:
            for key in self.alternates:
                if station.get(key, value) != value:
                    break
            else:
                return value
        elif not self.is_present(station):
            return None
        return self._read_all(station, findings)

    def is_present(self, station: dict[str, Any]) -> bool:
        if station.get(self.key) is not None:
            return True
        for key in self.alternates:  # noqa: SIM110 - a generator costs more than the rest of the method
            if station.get(key) is not None:
                return True
        return False

    def _read_all(self, station: dict[str, Any], findings: list[str]) -> int | None:
        keys = (self.key, *self.alternates)
        values = [value for key in keys if (value := station.get(key)) is not None]
        count, finding = _read_count(values[0])
        if finding is not None:
            note(findings, f"{self.column}_{finding}")
        if any(_read_count(other)[0] != count for other in values[1:]):
            note(findings, f"{self.column}_differs")
        return count


def read_count(value: object) -> int | None:
    """A count without findings; None where it is negative, a placeholder or not a whole number."""
    return _read_count(value)[0]


def _read_count(value: object) -> tuple[int | None, str | None]:
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        number = int(value.strip().partition(".")[0])
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    else:
        return None, "invalid"
    if number < 0:
        return None, "negative"
    if number >= FIRST_IMPLAUSIBLE:
        return None, "implausible"
    return number, None


def read_flag(value: object, findings: list[str]) -> bool | None:
    """A boolean written as true/false, 1/0, "1"/"0" or, in the French export, "OUI"/"NON"."""
    if value is None or value is True or value is False:
        return value
    if type(value) is int and 0 <= value <= 1:
        return value == 1
    if isinstance(value, str):
        value = value.strip().lower()
    flag = _FLAGS.get(value) if isinstance(value, (int, str, float)) else None
    if flag is None:
        note(findings, FLAG_INVALID)
    return flag


def read_text(value: object) -> str | None:
    """A trimmed text, or one of the texts of `[{"text", "language"}]` (GBFS 3); None where empty.

    An integer becomes its digits, because ids and codes are written in both ways.
    """
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list):
        return _localized(value)
    return None


def read_degrees(value: object, limit: float) -> float | None:
    """Degrees within [-limit, limit]; None for anything else."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -limit <= value <= limit:
        return None
    return float(value)


def choose_language(offered: Iterable[str], wanted: str | None) -> str | None:
    """The wanted language, else the same language of another region, else English, else the first offered."""
    languages = list(offered)
    for tag in (wanted, "en"):
        if tag is None:
            continue
        matches = [_tag(language) for language in languages]
        for exact in (_tag(tag), _tag(tag).partition("-")[0]):
            if exact in matches:
                return languages[matches.index(exact)]
        for index, match in enumerate(matches):
            if match.partition("-")[0] == _tag(tag).partition("-")[0]:
                return languages[index]
    return languages[0] if languages else None


def _tag(language: str) -> str:
    return language.strip().lower().replace("_", "-")


def _localized(entries: list[Any]) -> str | None:
    texts: dict[str, str] = {}
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("text"), str) and entry["text"].strip():
            language = entry.get("language")
            texts.setdefault(language if isinstance(language, str) else "", entry["text"].strip())
    chosen = choose_language(texts, None)
    return None if chosen is None else texts[chosen]
