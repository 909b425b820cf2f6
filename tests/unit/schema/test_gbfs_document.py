import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from pmp_schema import gbfs
from pmp_schema.errors import PoisonMessage, Reason
from pmp_schema.gbfs.document import MAX_DEPTH

FETCHED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def reason_of(body: bytes) -> Reason:
    with pytest.raises(PoisonMessage) as caught:
        gbfs.decode(body)
    return caught.value.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.EMPTY),
        (b" \r\n\t", Reason.EMPTY),
        (b"\xef\xbb\xbf", Reason.EMPTY),
        (b'{"name": "\xe9t\xe9"}', Reason.NOT_UTF8),
        (b'{"a": "\xed\xa0\x80"}', Reason.NOT_UTF8),
        ('{"a": 1}'.encode("utf-16"), Reason.NOT_UTF8),
        (b"<html>502 Bad Gateway</html>", Reason.NOT_JSON),
        (b"GBFS disabled", Reason.NOT_JSON),
        (b'{"data": {"stations": [{"station', Reason.NOT_JSON),
        (b"{} {}", Reason.NOT_JSON),
        (b'{"lat": NaN}', Reason.NOT_JSON),
        (b'{"lat": -Infinity}', Reason.NOT_JSON),
        (b'{"lat": 1e400}', Reason.NOT_JSON),
        (b'{"n": ' + b"9" * 5000 + b"}", Reason.NOT_JSON),
        (b'{"name": "\\ud800"}', Reason.NOT_JSON),
        (b'{"name": "\\udc00 x"}', Reason.NOT_JSON),
        (b"[" * 10_000 + b"]" * 10_000, Reason.TOO_DEEP),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, Reason.TOO_DEEP),
        (b"[" * 10_000, Reason.TOO_DEEP),
        (b"[]", Reason.SCHEMA),
        (b'"GBFS disabled"', Reason.SCHEMA),
        (b"3", Reason.SCHEMA),
        (b"null", Reason.SCHEMA),
    ],
)
def test_an_unusable_body_is_poison_with_its_reason(body, reason):
    assert reason_of(body) is reason


@pytest.mark.parametrize(
    ("body", "root"),
    [
        (b'\xef\xbb\xbf{"ttl": 1}', {"ttl": 1}),
        (b'{"ttl": 1, "ttl": 2}', {"ttl": 2}),
        (b'{"n": 1180591620717411303424}', {"n": 2**70}),
        (msgspec.Raw(b'{"ttl": 1}'), {"ttl": 1}),
    ],
)
def test_an_odd_body_is_read(body, root):
    assert gbfs.decode(body).root == root


@pytest.mark.parametrize(("depth", "accepted"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False)])
@pytest.mark.parametrize("name", ["plain", "unbalanced ]]}{ brackets [["])
def test_the_depth_limit_is_exact_whatever_brackets_the_strings_hold(depth, accepted, name):
    body = (
        json.dumps({"name": name}).encode()[:-1] + b',"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"
    )
    if accepted:
        assert gbfs.decode(body).root["name"] == name
    else:
        assert reason_of(body) is Reason.TOO_DEEP


def test_the_detail_of_poison_does_not_repeat_the_body():
    with pytest.raises(PoisonMessage) as caught:
        gbfs.decode(b'{"token": "s3cr3t", oops}')
    assert "s3cr3t" not in str(caught.value)


UPDATED_AT = datetime(2025, 10, 18, 9, 9, 16, tzinfo=UTC)
HEADER = "Sun, 01 Mar 2026 11:59:58 GMT"
HEADER_AT = datetime(2026, 3, 1, 11, 59, 58, tzinfo=UTC)
UNUSABLE = [None, 0, -1, True, "soon", 2**70, "2099-01-01T00:00:00Z", [], float("nan")]
UNUSABLE_HEADERS = [
    None,
    "",
    "soon",
    "Sun, 01 Mar 2099 11:59:58 GMT",
    "Sun, 32 Mar 2026 11:59:58 GMT",
    "Sun, 01 Mar 99999999999999999999 11:59:58 GMT",
    "Fri, 31 Dec 9999 23:59:59 -2300",
]


@pytest.mark.parametrize(
    ("root", "header", "at", "source"),
    [
        ({"last_updated": 1760778556}, HEADER, UPDATED_AT, "last_updated"),
        ({"last_updated": "2025-10-18T11:09:16+02:00"}, HEADER, UPDATED_AT, "last_updated"),
        ({"lastUpdatedOther": 1760778556}, HEADER, UPDATED_AT, "lastUpdatedOther"),
        ({"last_updated": 0, "lastUpdatedOther": 1760778556}, HEADER, UPDATED_AT, "lastUpdatedOther"),
        *(({"last_updated": unusable}, HEADER, HEADER_AT, "date_header") for unusable in UNUSABLE),
        *(({}, unusable, FETCHED_AT, "fetched_at") for unusable in UNUSABLE_HEADERS),
    ],
)
def test_the_first_usable_time_dates_the_feed(root, header, at, source):
    found = gbfs.feed_time(gbfs.Document(root), fetched_at=FETCHED_AT, date_header=header)
    assert found == gbfs.FeedTime(at, source)


def test_the_feed_time_is_utc_whatever_clock_fetched_it():
    local = FETCHED_AT.astimezone(timezone(timedelta(hours=2)))
    found = gbfs.feed_time(gbfs.Document({}), fetched_at=local)
    assert found.at.tzinfo is UTC
    assert found.at == FETCHED_AT


@pytest.mark.parametrize(
    ("root", "count"),
    [
        ({"data": {"stations": []}}, 0),
        ({"data": {"stations": [1, {}, {"station_id": "a"}]}}, 3),
        ({"stations": [{"station_id": "a"}]}, 1),
        ({"data": {}}, None),
        ({"data": []}, None),
        ({"data": {"stations": {"a": {}}}}, None),
        ({}, None),
    ],
)
def test_a_snapshot_is_counted_before_it_is_read(root, count):
    assert gbfs.station_count(gbfs.Document(root)) == count
