from datetime import UTC, datetime

from pmpctl.pipeline.status import warehouse_sections

NOON = datetime(2026, 1, 24, 12, tzinfo=UTC)


class Answers:
    """Queries that give the rows they were told."""

    def __init__(self, **rows):
        self._rows = rows

    def rows(self, name, **_):
        return iter(self._rows[name])


def test_missing_messages_are_a_problem():
    row = {"scope": "topic", "name": "pmp-events", "missing_messages": 1200}
    well = {"scope": "topic", "name": "pmp-ops-events", "missing_messages": 0}
    unknown = {"scope": "system", "name": "velib", "missing_messages": None}
    tables, health = warehouse_sections(Answers(freshness=[], health=[row, well, unknown]), NOON)
    assert tables.ok
    assert health.problems == ["1,200 messages of pmp-events are missing: `pmpctl reconcile`"]
