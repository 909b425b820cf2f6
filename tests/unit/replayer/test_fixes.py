import gzip
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmp_replayer.fixes import Cast, Change, Fix, FixInapplicable, Remove, Set, apply
from pmp_replayer.json_path import parse_path, spell

DOCUMENT = {"id": "e-1", "delta": "3", "a": {"b": [{"c": 1}, {"c": "2"}]}, "two words": None, "none": []}


def fixed(*fixes, value=DOCUMENT):
    data, changes = apply(fixes, json.dumps(value).encode(), {})
    return json.loads(data), changes


def test_set_replaces_and_adds():
    value, changes = fixed(Set(path="$.delta", value=4), Set(path="$.a.new", value={"x": 1}))
    assert (value["delta"], value["a"]["new"]) == (4, {"x": 1})
    assert changes == [Change("$.delta", '"3"', "4"), Change("$.a.new", None, '{"x": 1}')]


def test_remove_takes_a_key_and_entries_of_a_list_away():
    value, changes = fixed(Remove(path='$["two words"]'), Remove(path="$.a.b[*]"))
    assert value == {"id": "e-1", "delta": "3", "a": {"b": []}, "none": []}
    assert [change.path for change in changes] == ['$["two words"]', "$.a.b[1]", "$.a.b[0]"]
    assert changes[0] == Change('$["two words"]', "null", None)


def test_cast_changes_only_what_has_another_type():
    value, changes = fixed(Cast(path="$.a.b[*].c", to="integer"))
    assert value["a"]["b"] == [{"c": 1}, {"c": 2}]
    assert changes == [Change("$.a.b[1].c", '"2"', "2")]


@pytest.mark.parametrize(
    ("to", "before", "after"),
    [
        *(("integer", "-7", -7), ("integer", " 7 ", 7), ("integer", 7.0, 7), ("integer", "7.0", 7)),
        *(("number", "2.5", 2.5), ("number", "3", 3), ("string", 3, "3"), ("string", True, "true")),
        *(("boolean", "TRUE", True), ("boolean", 0, False)),
        ("timestamp", 1760803200, "2025-10-18T16:00:00Z"),
        ("timestamp", "2025-10-18 16:24:11", "2025-10-18T16:24:11Z"),
    ],
)
def test_a_cast_converts_the_value(to, before, after):
    value, _ = fixed(Cast(path="$.v", to=to), value={"v": before})
    assert json.dumps(value) == json.dumps({"v": after})


@pytest.mark.parametrize(
    ("to", "values"),
    [
        ("integer", ["7.5", "seven", None, True, "1e999", "1_000"]),
        ("number", ["nan", [1], ""]),
        ("string", [None, {"a": 1}]),
        ("boolean", ["yes", 2]),
        ("timestamp", ["yesterday", None]),
    ],
)
def test_a_value_that_cannot_be_cast_is_refused(to, values):
    for value in values:
        with pytest.raises(FixInapplicable):
            fixed(Cast(path="$.v", to=to), value={"v": value})


@pytest.mark.parametrize(
    "fix",
    [
        *(Remove(path="$.absent"), Cast(path="$.absent", to="string"), Remove(path="$.none[*]")),
        *(Set(path=path, value=1) for path in ("$.absent.key", "$.id.key", "$.a.b[2]", "$.a[0]")),
    ],
)
def test_a_fix_that_finds_nothing_is_refused(fix):
    with pytest.raises(FixInapplicable, match="nothing at"):
        fixed(fix)


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        *((data, "") for data in (b"", b"delta=1", b"\xff\xfe", b"[" * 200 + b"]" * 200)),
        *((data, "gzip") for data in (b'{"v": 1}', gzip.compress(b"0" * 20_000_000))),
    ],
    ids=["empty", "no-json", "no-utf8", "deep", "no-gzip", "bomb"],
)
def test_a_body_that_cannot_be_read_is_refused(data, encoding):
    with pytest.raises(FixInapplicable):
        apply([Set(path="$.a", value=1)], data, {"content-encoding": encoding})


def test_a_compressed_body_is_fixed_and_compressed_again():
    attributes = {"content-encoding": "gzip"}
    data, changes = apply([Set(path="$.v", value="é")], gzip.compress(b'{"v": 1}'), attributes)
    assert gzip.decompress(data) == '{"v":"é"}'.encode()
    assert changes == [Change("$.v", "1", '"é"')]
    again, _ = apply([Set(path="$.v", value="é")], gzip.compress(b'{"v": 1}'), attributes)
    assert again == data


def test_without_a_change_the_bytes_stay_as_they_are():
    data = b'{ "delta" : 1 }'
    assert apply([Cast(path="$.delta", to="integer")], data, {}) == (data, [])


def test_a_result_above_the_message_limit_is_refused():
    with pytest.raises(FixInapplicable, match="bytes"):
        apply([Set(path="$.v", value="x" * 10_000_000)], b"{}", {})


def test_the_audit_quotes_at_most_200_characters():
    _, [change] = apply([Set(path="$.v", value="y" * 500)], json.dumps({"v": "x" * 500}).encode(), {})
    assert (len(change.before), len(change.after)) == (200, 200)


def test_the_same_fix_does_not_share_its_value_between_letters():
    fixes = [Set(path="$.v", value={}), Set(path="$.v.n", value=1)]
    assert [apply(fixes, b"{}", {})[0] for _ in range(2)] == [b'{"v":{"n":1}}'] * 2
    assert fixes[0].value == {}


PATHS = [
    "",
    "$",
    "delta",
    "$.",
    "$..a",
    "$.a[",
    "$.a[-1]",
    "$[01x]",
    '$["a]',
    "$.a b",
    "$.1",
    "$" + ".a" * 101,
]


@pytest.mark.parametrize(
    "fix",
    [
        *({"op": "remove", "path": path} for path in PATHS),
        {"op": "drop", "path": "$.a"},
        {"path": "$.a", "value": 1},
        {"op": "set", "path": "$.a"},
        {"op": "cast", "path": "$.a", "to": "date"},
        {"op": "remove", "path": "$.a", "value": 1},
    ],
)
def test_an_invalid_fix_or_path_is_refused_when_the_request_is_read(fix):
    with pytest.raises(msgspec.ValidationError, match="not a path" if fix["path"] in PATHS else None):
        msgspec.convert(fix, Fix)


texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.lists(texts | st.integers(0, 10**8) | st.none(), min_size=1))
def test_a_formatted_path_is_parsed_as_the_same(steps):
    assert parse_path(spell(steps)) == tuple(steps)


@given(st.dictionaries(st.sampled_from("abcd"), json_values), json_values, st.sampled_from("abcd"))
def test_set_changes_its_place_and_nothing_else(document, value, key):
    data, _ = apply([Set(path=f"$.{key}", value=value)], json.dumps(document).encode(), {})
    assert json.loads(data) == document | {key: value}


@given(st.dictionaries(st.sampled_from("abcd"), json_values, min_size=1), st.data())
def test_remove_after_set_of_a_new_key_gives_the_document_back(document, data):
    fixes = [Set(path="$.new", value=data.draw(json_values)), Remove(path="$.new")]
    result, changes = apply(fixes, json.dumps(document).encode(), {})
    assert json.loads(result) == document
    assert changes[0].after == changes[1].before


@given(json_values, st.sampled_from(["integer", "number", "string", "boolean", "timestamp"]))
def test_a_second_cast_changes_nothing(value, to):
    fix = Cast(path="$.v", to=to)
    try:
        once, _ = apply([fix], json.dumps({"v": value}).encode(), {})
    except FixInapplicable:
        return
    assert apply([fix], once, {}) == (once, [])


@given(st.binary(max_size=60), json_values)
def test_any_bytes_are_fixed_or_refused(data, value):
    try:
        result, _ = apply([Set(path="$.a", value=value)], data, {})
    except FixInapplicable:
        return
    assert json.loads(result)["a"] == value
