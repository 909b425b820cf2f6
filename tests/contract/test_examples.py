"""The examples are the specification: schema file, decoder and table agree on each of them."""

import json
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pmp_runtime.bigquery.append.row_values import RowConverter
from pmp_schema import events, message_rows
from pmp_schema.errors import PoisonMessage
from pmp_schema.message import Message
from pmp_schema.tables import table

NOW = datetime(2026, 2, 1, tzinfo=UTC)
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.v1.*.json"))
PASS = [path for path in EXAMPLES if path.name.endswith(".pass.json")]
FAIL = [path for path in EXAMPLES if path.name.endswith(".fail.json")]
BUILD = {
    "sensor_event": message_rows.sensor_event_rows,
    "snapshot": message_rows.snapshot_rows,
    "ops_event": message_rows.ops_event_rows,
}
DECODE = {
    "sensor_event": events.decode_sensor_event,
    "snapshot": events.decode_snapshot,
    "ops_event": events.decode_ops_event,
}


def validator(event):
    schema = json.loads(files("pmp_schema").joinpath("schemas", f"{event}.v1.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def event_of(path):
    return path.name.split(".")[0]


def rows_of(path):
    build = (
        message_rows.station_information_rows
        if "station_information" in path.read_text()
        else BUILD[event_of(path)]
    )
    return build(Message(data=path.read_bytes(), message_id="1", publish_ts=NOW), NOW)


def by_name(path):
    return path.name


def test_every_example_has_a_schema_and_an_outcome():
    assert {event_of(path) for path in EXAMPLES} == BUILD.keys()
    assert sorted(PASS + FAIL) == EXAMPLES


@pytest.mark.parametrize("path", PASS, ids=by_name)
def test_a_pass_example_fits_its_schema(path):
    validator(event_of(path)).validate(json.loads(path.read_bytes()))


@pytest.mark.parametrize("path", PASS, ids=by_name)
def test_a_pass_example_becomes_rows_that_fit_their_table(path):
    rowset = rows_of(path)
    columns = {column.name for column in table(rowset.table).columns}
    stamp = {"ingest_ts": NOW} if "ingest_ts" in columns else {}
    assert rowset.rows
    assert rowset.rejected == []
    for row in rowset.rows:
        RowConverter(table(rowset.table)).convert(row | stamp)


@pytest.mark.parametrize("path", FAIL, ids=by_name)
def test_a_fail_example_has_the_reason_that_its_name_says(path):
    with pytest.raises(PoisonMessage) as poison:
        rows_of(path)
    assert poison.value.reason == path.name.split(".")[2].split("-")[0]


@pytest.mark.parametrize("path", FAIL, ids=by_name)
def test_a_fail_example_does_not_fit_its_schema(path):
    """JSON Schema cannot check whether a time exists and is possible."""
    is_about_time = ".timestamp_" in path.name
    assert validator(event_of(path)).is_valid(json.loads(path.read_bytes())) == is_about_time


texts = st.text(max_size=3) | st.sampled_from(["pickup", "station_status_snapshot", "x" * 1024, "x" * 1025])
values = st.none() | st.booleans() | st.integers() | st.floats(0.1, 0.9) | texts | st.just({}) | st.just([])
values |= st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**70])
GOOD = {
    "sensor_event": {"event_id": "e", "station_id": "s", "ts_iso": "t", "kind": "pickup", "delta": 1},
    "snapshot": {"source": "velib", "event_type": "station_status_snapshot", "payload": {}},
    "ops_event": {"id": "1", "type": "t"},
}


@pytest.mark.parametrize("event", GOOD)
@given(data=st.data())
def test_schema_and_decoder_agree_on_any_object(event, data):
    schema = validator(event)
    names = st.sampled_from([*schema.schema["properties"], "unknown"])
    changes = data.draw(st.dictionaries(names, values, max_size=3))
    absent = data.draw(st.sets(names, max_size=1))
    value = {name: value for name, value in (GOOD[event] | changes).items() if name not in absent}
    try:
        DECODE[event](json.dumps(value).encode())
    except PoisonMessage:
        decodes = False
    else:
        decodes = True
    assert decodes == schema.is_valid(value)
