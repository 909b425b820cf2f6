"""Findings about a station's values: the station is kept, and the slugs are stored in its row.

A count (`bikes`, `docks`, `bikes_disabled`, `capacity`) has findings of its own, for example `docks_negative`:

| finding | meaning |
|---|---|
| `<count>_negative` | below zero; read as unknown |
| `<count>_implausible` | a placeholder such as 999999; read as unknown |
| `<count>_invalid` | not a whole number; read as unknown |
| `<count>_differs` | the feed has two values; the first of the documented order is kept |
"""

from typing import Final

BIKES_MISSING: Final = "bikes_missing"
"""There is no key for the number of bikes."""
DUPLICATE_DIFFERS: Final = "duplicate_differs"
"""The station is listed more than once with different values; the last one is kept."""
FLAG_INVALID: Final = "flag_invalid"
"""is_installed, is_renting or is_returning is not a boolean; read as unknown."""
NAME_MISSING: Final = "name_missing"
"""There is no name in any language."""
POSITION_INVALID: Final = "position_invalid"
"""Latitude or longitude is not a number of degrees; read as unknown."""
POSITION_MISSING: Final = "position_missing"
"""Latitude or longitude is absent."""
POSITION_ZERO: Final = "position_zero"
"""Latitude and longitude are both 0; read as unknown."""
REPORTED_IMPLAUSIBLE: Final = "reported_implausible"
"""last_reported is unreadable, before 2015-12-15 or in the future; read as unknown."""
TYPES_INVALID: Final = "types_invalid"
"""A part of the counts by vehicle type is unreadable and left out."""
TYPES_SUM_DIFFERS: Final = "types_sum_differs"
"""The counts by vehicle type do not add up to the total; both are kept."""
TYPES_UNKNOWN: Final = "types_unknown"
"""The vehicle types of the station are unknown; all vehicles are counted as other."""


def note(findings: list[str], slug: str) -> None:
    """Adds a finding once."""
    if slug not in findings:
        findings.append(slug)
