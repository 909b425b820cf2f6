"""Findings about a station's values: the station is kept, and the slugs are stored in its row.

| finding | meaning |
|---|---|
| `bikes_missing` | there is no key for the number of bikes |
| `duplicate_differs` | listed more than once with different values; the last one is kept |
| `flag_invalid` | is_installed, is_renting or is_returning is not a boolean; read as unknown |
| `name_missing` | there is no name in any language |
| `position_invalid`, `_missing`, `_zero` | not degrees, absent, or both 0; read as unknown |
| `reported_implausible` | last_reported is unreadable, before 2015-12-15 or in the future; read as unknown |
| `types_invalid` | a part of the counts by vehicle type is unreadable and left out |
| `types_sum_differs` | the counts by vehicle type do not add up to the total; both are kept |
| `types_unknown` | the vehicle types are unknown; all vehicles are counted as other |

A count (`bikes`, `docks`, `bikes_disabled`, `capacity`) has findings of its own, for example `docks_negative`:
`_negative`, `_invalid` (not a whole number) and `_implausible` (a placeholder such as 999999) mean that it is read as
unknown; `_differs` means that the feed has two values, and the first of the documented order is kept.
"""

from typing import Final

BIKES_MISSING: Final = "bikes_missing"
DUPLICATE_DIFFERS: Final = "duplicate_differs"
FLAG_INVALID: Final = "flag_invalid"
NAME_MISSING: Final = "name_missing"
POSITION_INVALID: Final = "position_invalid"
POSITION_MISSING: Final = "position_missing"
POSITION_ZERO: Final = "position_zero"
REPORTED_IMPLAUSIBLE: Final = "reported_implausible"
TYPES_INVALID: Final = "types_invalid"
TYPES_SUM_DIFFERS: Final = "types_sum_differs"
TYPES_UNKNOWN: Final = "types_unknown"


def note(findings: list[str], slug: str) -> None:
    """Adds a finding once."""
    if slug not in findings:
        findings.append(slug)
