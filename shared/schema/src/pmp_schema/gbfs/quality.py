"""Findings about a station's values. The station is kept; the slugs go into its row."""

from typing import Final

BIKES_MISSING: Final = "bikes_missing"
DUPLICATE_DIFFERS: Final = "duplicate_differs"
FLAG_INVALID: Final = "flag_invalid"
NAME_MISSING: Final = "name_missing"
OVER_CAPACITY: Final = "over_capacity"
POSITION_INVALID: Final = "position_invalid"
POSITION_MISSING: Final = "position_missing"
POSITION_ZERO: Final = "position_zero"
REPORTED_IMPLAUSIBLE: Final = "reported_implausible"
TYPES_INVALID: Final = "types_invalid"
TYPES_SUM_DIFFERS: Final = "types_sum_differs"
TYPES_UNKNOWN: Final = "types_unknown"

_COUNTED: Final = {
    "bikes": "bikes",
    "docks": "free docks",
    "bikes_disabled": "disabled bikes",
    "capacity": "capacity",
}
_COUNT_FINDINGS: Final = {
    "negative": "{what}: below zero; read as unknown",
    "implausible": "{what}: a placeholder such as 999999; read as unknown",
    "invalid": "{what}: not a whole number; read as unknown",
    "differs": "{what}: the feed states two different values; the first of the documented order is kept",
}

MEANING: Final[dict[str, str]] = {
    BIKES_MISSING: "no key for the number of bikes",
    DUPLICATE_DIFFERS: "listed more than once with different values; the last one is kept",
    FLAG_INVALID: "is_installed, is_renting or is_returning is no boolean; read as unknown",
    NAME_MISSING: "no name in any language",
    OVER_CAPACITY: "bikes and free docks together exceed a known capacity",
    POSITION_INVALID: "latitude or longitude is no number of degrees; read as unknown",
    POSITION_MISSING: "latitude or longitude is absent",
    POSITION_ZERO: "latitude and longitude are both 0; read as unknown",
    REPORTED_IMPLAUSIBLE: "last_reported is unreadable, before 2015-12-15 or in the future; read as unknown",
    TYPES_INVALID: "part of the counts by vehicle type is unreadable and left out",
    TYPES_SUM_DIFFERS: "the counts by vehicle type do not add up to the total; both are kept",
    TYPES_UNKNOWN: "no vehicle type of the station is known; all are counted as other",
} | {
    f"{column}_{finding}": text.format(what=what)
    for column, what in _COUNTED.items()
    for finding, text in _COUNT_FINDINGS.items()
}
"""Slug to its meaning; the slugs are stable."""


def note(findings: list[str], slug: str) -> None:
    """Add a finding once."""
    if slug not in findings:
        findings.append(slug)
