"""Vehicles at a station by kind: mechanical bikes, electric bikes, all others.

Producers count by type in four ways: `vehicle_types_available` (since GBFS 2.1), `num_bikes_available_types` as a list
of one-key objects (Vélib) or as one object (Bicing, BCycle), and `num_ebikes_available` besides the total (Lyft). The
total stays authoritative: Divvy counts scooters by type only.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from pmp_schema.gbfs.quality import TYPES_INVALID, TYPES_SUM_DIFFERS, TYPES_UNKNOWN, note
from pmp_schema.gbfs.values import FIRST_IMPLAUSIBLE, read_count, read_text


class Kind(IntEnum):
    MECHANICAL = 0
    EBIKE = 1
    OTHER = 2


Split = tuple[int | None, int | None, int | None]
"""Mechanical bikes, electric bikes, other vehicles; None where unknown."""

UNKNOWN: Final[Split] = (None, None, None)

KIND_OF_NAME: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("mechanical", "classic", "bike", "bicycle", "regular", "human"), Kind.MECHANICAL),
    **dict.fromkeys(
        ("ebike", "e-bike", "e_bike", "electric", "electric_bike", "electric_assist"), Kind.EBIKE
    ),
    # BCycle's third name; no system was seen to use it with a count (eskerda/pybikes#716).
    "smart": Kind.OTHER,
    **dict.fromkeys(
        ("scooter", "escooter", "e-scooter", "moped", "cargo", "cargo_bicycle", "car"), Kind.OTHER
    ),
}
"""Type ids that name a kind. Any other id has a meaning only in its system's vehicle_types.json."""


def split_by_kind(station: dict[str, Any], bikes: int | None, findings: list[str]) -> Split:
    """Counts a station's vehicles by kind; findings are added.

    If at least one type is known, the unknown ones are `other` and all three numbers are given. If all types are
    unknown, `num_ebikes_available` decides (Lyft includes those in the total); without it, all vehicles are `other`
    and the two bike columns stay None.

    Args:
        bikes: the station's total; it is only compared with the sum.
    """
    breakdown = station.get("vehicle_types_available")
    if breakdown is None:
        breakdown = station.get("num_bikes_available_types")
    counts = [0, 0, 0]
    opaque = 0
    known = listed = False
    for type_id, value in _pairs(breakdown, findings):
        count = value if type(value) is int and 0 <= value < FIRST_IMPLAUSIBLE else read_count(value)
        if count is None:
            note(findings, TYPES_INVALID)
            continue
        listed = True
        kind = KIND_OF_NAME.get(type_id)
        if kind is None and (kind := KIND_OF_NAME.get(type_id.lower())) is None:
            opaque += count
        else:
            known = True
            counts[kind] += count
    if not known and station.get("num_ebikes_available") is not None:
        return _beside_total(station, bikes, findings)
    if not listed:
        # GBFS 3 may omit types with a count of 0, so an empty list of an empty station means zeros.
        return (0, 0, 0) if bikes == 0 and breakdown in ([], {}) else UNKNOWN
    mechanical, ebikes, other = counts
    if bikes is not None and mechanical + ebikes + other + opaque != bikes:
        note(findings, TYPES_SUM_DIFFERS)
    if known:
        return mechanical, ebikes, other + opaque
    note(findings, TYPES_UNKNOWN)
    return None, None, opaque


def _pairs(breakdown: object, findings: list[str]) -> list[tuple[str, Any]]:
    """(type id, raw count) from any of the three shapes."""
    if isinstance(breakdown, dict):
        return list(breakdown.items())
    pairs: list[tuple[str, Any]] = []
    if breakdown is None:
        return pairs
    for entry in breakdown if isinstance(breakdown, list) else (None,):
        if type(entry) is not dict:
            note(findings, TYPES_INVALID)
        elif "vehicle_type_id" not in entry:
            pairs.extend(entry.items())
        elif (type_id := read_text(entry["vehicle_type_id"])) is None:
            note(findings, TYPES_INVALID)
        else:
            pairs.append((type_id, entry.get("count")))
    return pairs


def _beside_total(station: dict[str, Any], bikes: int | None, findings: list[str]) -> Split:
    ebikes = read_count(station["num_ebikes_available"])
    scooters = read_count(station.get("num_scooters_available"))
    if ebikes is None:
        note(findings, TYPES_INVALID)
        return None, None, scooters
    if bikes is None or ebikes > bikes:
        if bikes is not None:
            note(findings, TYPES_SUM_DIFFERS)
        return None, ebikes, scooters
    return bikes - ebikes, ebikes, scooters
