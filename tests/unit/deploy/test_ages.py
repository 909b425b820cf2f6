from datetime import UTC, datetime

import pytest

from pmpctl.ages import begin
from pmpctl.errors import CommandError

NOON = datetime(2026, 1, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize("since", ["1.5h", "90m", "2026-01-24T11:30:00+01:00", "2026-01-24 10:30:00 UTC"])
def test_since_is_an_age_or_a_time(since):
    assert begin(since, NOON) == datetime(2026, 1, 24, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize("since", ["yesterday", "-5m", "999999d", "2026-13-01"])
def test_since_that_is_neither_is_said(since):
    with pytest.raises(CommandError, match=f"^--since {since}: an age such as 90m"):
        begin(since, NOON)
