"""Reads a station_information of GBFS 1.0 to 3.1 into rows of `station_information`."""

from typing import Any, Final

from pmp_schema.gbfs.document import Document
from pmp_schema.gbfs.quality import NAME_MISSING, POSITION_INVALID, POSITION_MISSING, POSITION_ZERO, note
from pmp_schema.gbfs.station_list import FlatStation, Flattened, flatten
from pmp_schema.gbfs.values import CountField, read_degrees, read_text

_CAPACITY: Final = CountField("capacity", "capacity")


class StationInformation(FlatStation, frozen=True, kw_only=True, gc=False):
    """The place and the name of a station.

    Attributes:
        station_code: the printed id: `stationCode` of Vélib, else `short_name`.
        lat: degrees, WGS 84; None together with `lon` where either is unusable or both are 0.
        capacity: docks as stated, which may be 0; None where absent. Capacities by vehicle type are not summed,
            because one dock may serve several types.
    """

    station_code: str | None
    name: str | None
    lat: float | None
    lon: float | None
    capacity: int | None
    address: str | None
    region_id: str | None


def flatten_information(document: Document) -> Flattened[StationInformation]:
    """Rows of a station_information of any version. Of texts in several languages, English is preferred.

    Raises:
        PoisonMessage: `schema`; the document has no list of stations.
    """
    return flatten(document, _read)


def _read(station_id: str, station: dict[str, Any]) -> StationInformation:
    findings: list[str] = []
    name = read_text(station.get("name"))
    if name is None:
        note(findings, NAME_MISSING)
    lat, lon = _position(station.get("lat"), station.get("lon"), findings)
    return StationInformation(
        station_id=station_id,
        station_code=read_text(station.get("stationCode")) or read_text(station.get("short_name")),
        name=name,
        lat=lat,
        lon=lon,
        capacity=_CAPACITY.read(station, findings),
        address=read_text(station.get("address")),
        region_id=read_text(station.get("region_id")),
        quality=tuple(findings),
    )


def _position(lat: object, lon: object, findings: list[str]) -> tuple[float, float] | tuple[None, None]:
    if lat is None or lon is None:
        note(findings, POSITION_MISSING)
        return None, None
    north, east = read_degrees(lat, 90), read_degrees(lon, 180)
    if north is None or east is None:
        note(findings, POSITION_INVALID)
        return None, None
    if north == 0 and east == 0:
        note(findings, POSITION_ZERO)
        return None, None
    return north, east
