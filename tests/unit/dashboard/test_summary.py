"""Sums over stations."""

import pytest

from pmp_dashboard.summary import summary

FLAGS = {"is_reporting": True, "is_empty": False, "is_full": False, "is_closed": False}
COUNTS = {"bikes": 3, "mechanical": 2, "ebikes": 1, "other_vehicles": 0, "docks": 7}


def row(**columns):
    return FLAGS | COUNTS | columns


def test_the_stations_that_report_are_added_up():
    rows = [
        row(),
        row(bikes=0, mechanical=0, ebikes=0, is_empty=True),
        row(docks=0, is_full=True),
        row(is_closed=True),
        row(bikes=1000, is_empty=True, is_reporting=False),
    ]
    sums = {"bikes": 9, "mechanical": 6, "ebikes": 3, "other_vehicles": 0, "docks": 21}
    counts = {"empty": 1, "full": 1, "closed": 1, "stations_reporting": 4, "stations_known": 8}
    assert summary(rows, 8) == sums | counts | {"coverage_ratio": 0.5}


def test_a_value_that_no_station_has_is_unknown_and_not_zero():
    stated = summary([row(mechanical=None, docks=None), row(mechanical=4, docks=None)], None)
    assert (stated["mechanical"], stated["docks"], stated["coverage_ratio"]) == (4, None, None)


@pytest.mark.parametrize("rows", [[], [row(is_reporting=False)], [row(is_reporting=None)]])
def test_without_a_station_that_reports_the_bikes_are_unknown(rows):
    said = summary(rows, 3)
    assert {name: value for name, value in said.items() if value is not None} == {
        "stations_reporting": 0,
        "stations_known": 3,
        "coverage_ratio": 0.0,
    }
