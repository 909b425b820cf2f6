"""Renders the city in the dialect of Vélib's open data, which claims GBFS 1.0 and is valid in no version.

`lastUpdatedOther` for `last_updated`, no `version`, a `ttl` of an hour over data of a minute, integer ids,
counts twice, types as a list of one-key objects, 0 and 1 for booleans. Seen in captures of 2022 to 2026.
"""

from datetime import datetime
from typing import Any, Final

import msgspec

from pmp_simulator.city import City
from pmp_simulator.heartbeat import Heartbeat

FEEDS: Final = ("gbfs", "system_information", "station_information", "station_status")


def station_status(city: City, heartbeat: Heartbeat) -> bytes:
    """The body of station_status.json at the city's time."""
    reported = heartbeat.reported(city.now)
    return _document(
        {"stations": [_status_row(city, index, reported[index]) for index in range(len(reported))]}, city.now
    )


def station_information(city: City) -> bytes:
    """The body of station_information.json at the city's time."""
    rows = []
    for station in city.stations:
        row: dict[str, Any] = {
            "station_id": station.id,
            "stationCode": station.code,
            "name": station.name,
            "lat": station.lat,
            "lon": station.lon,
            "capacity": station.capacity,
        }
        if station.credit_card:
            row["rental_methods"] = ["CREDITCARD"]
        rows.append(row | {"station_opening_hours": None})
    return _document({"stations": rows}, city.now)


def system_information(at: datetime) -> bytes:
    """The body of system_information.json: five fields, one of them empty."""
    return _document(
        {"system_id": "Paris", "name": "Paris", "url": "", "timezone": "Europe/Paris", "language": "en"}, at
    )


def discovery(base_url: str, at: datetime) -> bytes:
    """The body of gbfs.json; `base_url` has no slash at its end."""
    feeds = [{"name": name, "url": f"{base_url}/{name}.json"} for name in FEEDS]
    return _document({"en": {"feeds": feeds}}, at)


def _status_row(city: City, index: int, reported_s: int) -> dict[str, Any]:
    station = city.stations[index]
    bikes, docks = city.bikes(index), city.free_docks(index)
    is_open = 0 if city.closed[index] else 1
    silent_since = station.silent_since
    return {
        "station_id": station.id,
        "num_bikes_available": bikes,
        "numBikesAvailable": bikes,
        "num_bikes_available_types": [{"mechanical": city.mechanical[index]}, {"ebike": city.ebikes[index]}],
        "num_docks_available": docks,
        "numDocksAvailable": docks,
        "is_installed": 1 if station.installed else 0,
        "is_returning": is_open,
        "is_renting": is_open,
        "last_reported": reported_s if silent_since is None else int(silent_since.timestamp()),
        "stationCode": station.code,
        "station_opening_hours": None,
    }


def _document(data: dict[str, Any], at: datetime) -> bytes:
    return msgspec.json.encode({"lastUpdatedOther": int(at.timestamp()), "ttl": 3600, "data": data})
