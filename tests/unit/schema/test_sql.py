import pytest

from pmp_schema.sql import full_name, render, render_query
from pmp_schema.tables import view_sql

CLOSED_THROUGH = ("pmp_schema.features", "sql/closed_through.sql")


def test_placeholders_are_filled_in_and_parameters_stay():
    text = render(*CLOSED_THROUGH, station_daily_counts="p.d.{t}")
    assert "FROM `p.d.{t}`" in text
    assert "@before" in text


@pytest.mark.parametrize("values", [{}, {"station_daily_counts": "t", "raw_events": "r"}])
def test_a_missing_or_unused_value_is_an_error(values):
    with pytest.raises(KeyError, match=r"closed_through.*(station_daily_counts|raw_events)"):
        render(*CLOSED_THROUGH, **values)


@pytest.mark.parametrize(
    "text",
    [
        render_query("pmp_schema.features", "closed_through", "my-project"),
        view_sql("raw_events_unique", "my-project"),
    ],
)
def test_a_query_names_its_tables_in_full(text):
    assert "`my-project.pmp_" in text
    assert "{" not in text


def test_a_table_that_no_dataset_has_is_an_error():
    with pytest.raises(KeyError):
        full_name("weather", "p")
