import json
from datetime import UTC, datetime
from math import inf, nan

import pytest
from google.api_core.exceptions import BadRequest
from google.auth.exceptions import RefreshError
from requests import ConnectionError as RequestsConnectionError
from rich.console import Console

from pmpctl.errors import CommandError
from pmpctl.query import run
from pmpctl.terminal import dump, show_rows


class Client:
    """A client of BigQuery that only raises an error."""

    project = "pmp-test"

    def __init__(self, error):
        self._error = error

    def query(self, sql, **_):
        raise self._error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BadRequest("Syntax error at [1:8]\nmore"), "BigQuery: Syntax error at [1:8]"),
        (
            RefreshError("Reauthentication is needed"),
            "no Google credentials (RefreshError): run `gcloud auth application-default login`",
        ),
        (RequestsConnectionError("refused"), "BigQuery: refused"),
        (TimeoutError(), "BigQuery: TimeoutError"),
    ],
)
def test_whatever_bigquery_raises_is_one_line(error, said):
    with pytest.raises(CommandError) as raised:
        run(Client(error), "SELECT")
    assert str(raised.value) == said


def test_values_are_shown_as_they_are_and_steer_no_terminal():
    console = Console(width=80, record=True)
    show_rows("", [{"[/x]": "[red]Gare[/]", "data": b"\xc3\x89glise \xff", "kind": "\x1b[2J[/]"}], console)
    shown = console.export_text()
    for value in ("[/x]", "[red]Gare[/]", "Église \\xff", "\\x1b[2J[/]"):
        assert value in shown
    assert "\x1b" not in shown


def test_rows_that_are_too_wide_for_a_table_are_shown_line_by_line_and_whole():
    console = Console(width=40, record=True)
    long = "features-sql-20261129t100000z-and-more-than-fits"
    show_rows("runs", [{"run_id": long, "ok": True}, {"run_id": "x", "ok": False}], console)
    assert [line.split() for line in console.export_text().splitlines() if line] == [
        ["runs"],
        ["run_id", long],
        ["ok", "yes"],
        ["run_id", "x"],
        ["ok", "no"],
    ]


def test_a_value_of_any_kind_has_a_cell():
    console = Console(width=80, record=True)
    row = {"data": {"a": 1}, "ports": (1, 2), "none": None, "empty": "", "zero": 0}
    show_rows("rows", [row], console)
    line = console.export_text().splitlines()[-2]
    assert [cell.strip() for cell in line.strip("│").split("│")] == ["{'a': 1}", "1, 2", "-", "-", "0"]


def test_json_is_json_whatever_it_holds():
    value = {"at": datetime(2026, 1, 24, 12, 0, 0, 250000, tzinfo=UTC), "data": b"\xff", "n": [nan, inf, 1.5]}
    assert json.loads(dump(value), parse_constant=pytest.fail) == {
        "at": "2026-01-24T12:00:00.250000Z",
        "data": "/w==",
        "n": [None, None, 1.5],
    }
