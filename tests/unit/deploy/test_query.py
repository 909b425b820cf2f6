import pytest
from google.api_core.exceptions import BadRequest
from google.auth.exceptions import RefreshError
from requests import ConnectionError as RequestsConnectionError
from rich.console import Console

from pmpctl.errors import CommandError
from pmpctl.query import as_table
from pmpctl.statements import rows


class Client:
    """A client of BigQuery that raises what it was told."""

    project = "pmp-test"

    def __init__(self, error):
        self._error = error

    def query(self, sql, **_):
        raise self._error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BadRequest("Syntax error at [1:8]\nmore"), "Syntax error at [1:8]"),
        (RefreshError("Reauthentication is needed"), "Reauthentication is needed"),
        (RequestsConnectionError("refused"), "refused"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_whatever_bigquery_raises_is_one_line(error, said):
    with pytest.raises(CommandError) as raised:
        rows(Client(error), "SELECT", timeout_s=1)
    assert str(raised.value) == f"BigQuery: {said}"


def test_values_are_shown_as_they_are():
    console = Console(width=80, record=True)
    console.print(as_table([{"name": "[red]Gare[/]", "data": b"\xc3\x89glise \xff"}]))
    shown = console.export_text()
    assert "[red]Gare[/]" in shown
    assert "Église \\xff" in shown
