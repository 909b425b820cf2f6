import os
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pmp_runtime.processes import ProcessId
from pmpctl.errors import CommandError
from pmpctl.local.state_folder import ProcessRecord, Record, StateFolder
from pmpctl.pipeline.status import local_sections, table_sections

NOON = datetime(2026, 1, 24, 12, tzinfo=UTC)


class Answers:
    """Queries that give fixed rows."""

    def __init__(self, **rows):
        self._rows = rows

    def rows(self, name, **_):
        return iter(self._rows[name])


def test_missing_messages_are_a_problem():
    row = {"scope": "topic", "name": "pmp-events", "missing_messages": 1200}
    well = {"scope": "topic", "name": "pmp-ops-events", "missing_messages": 0}
    unknown = {"scope": "system", "name": "velib", "missing_messages": None}
    tables, health = table_sections(lambda: Answers(freshness=[], health=[row, well, unknown]), NOON)
    assert tables.ok
    assert health.problems == ["1,200 missing messages of pmp-events: `pmpctl reconcile`"]


@pytest.fixture
def state(tmp_path):
    """A folder, and a stack that is this process."""
    folder = StateFolder(tmp_path)

    def write(*processes, **record):
        me = ProcessId.of(os.getpid())
        fields = {"status": "ready", "supervisor": me, "urls": {}, "log": "stack.log", **record}
        folder.write(Record(processes=processes, **fields))
        return folder

    return write


def problems(folder):
    (processes, *_) = local_sections(folder, lambda: Answers(freshness=[], health=[]), NOON)
    return list(processes.problems)


def test_a_stack_in_which_everything_runs_is_well(state):
    alive = ProcessRecord(name="feed", ports=(), health=None, identity=ProcessId.of(os.getpid()))
    assert problems(state(alive)) == []


def test_a_process_that_does_not_run_or_answer_or_crashed_lately_is_a_problem(state):
    me = ProcessId.of(os.getpid())
    ended = ProcessRecord(name="curation", ports=(), health=None, identity=ProcessId(me.pid, "another time"))
    mute = ProcessRecord(name="writer", ports=(1,), health="http://127.0.0.1:1/health", identity=me)
    crashed = replace(ended, name="a", crashes=3, exit_code=-9, crashed_at=NOON.timestamp() - 59)
    recovered = replace(crashed, name="b", identity=me)
    stable = replace(recovered, name="c", crashed_at=NOON.timestamp() - 61)
    assert problems(state(ended, mute, crashed, recovered, stable)) == [
        "curation does not run",
        "writer does not answer",
        "a ended with exit code -9 and will be started again (crashes: 3)",
        "b ended with exit code -9 and was started again (crashes: 3)",
    ]


def test_a_stack_that_failed_says_why(state):
    assert problems(state(status="failed", detail="a port is taken")) == [
        "the stack is failed: a port is taken"
    ]


def test_a_bigquery_that_is_away_hides_no_process(state):
    def away():
        raise CommandError("nothing answers")

    me = ProcessId.of(os.getpid())
    ended = ProcessRecord(name="bigquery", ports=(), health=None, identity=ProcessId(me.pid, "another time"))
    processes, tables, _ = local_sections(state(ended), away, NOON)
    assert list(processes.problems) == ["bigquery does not run"]
    assert tables.error == "nothing answers"


def test_no_stack_is_no_section_of_rows(tmp_path):
    (section,) = local_sections(StateFolder(tmp_path), Answers, NOON)
    assert (section.error, section.ok) == ("not running", False)
