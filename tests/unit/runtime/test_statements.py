import re
import time
from importlib.resources import files

import pytest
from google.api_core import exceptions

from pmp_runtime.bigquery.queries import BigQueryUnavailable
from pmp_runtime.bigquery.statements import CONFLICTS, BigQueryStatements
from pmp_schema.features import Statement

CONFLICT = exceptions.BadRequest("Could not serialize access to table t due to concurrent update")
QUEUED = exceptions.BadRequest(
    "Resources exceeded during query execution: Too many DML statements outstanding against table t, limit is 20."
)


@pytest.fixture(autouse=True)
def slept(monkeypatch):
    """Google's library waits by the clock of `time`."""
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0 + sum(slept))
    return slept


STATEMENT_S = 300


class Client:
    """Answers each query with the next of what it is given, the last one again and again."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def query(self, *_, **__):
        return self

    def result(self, **_):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def query(*answers):
    return BigQueryStatements(Client(*answers), call_s=1, statement_s=STATEMENT_S).query(
        Statement("SELECT 1")
    )


def test_a_conflict_with_another_statement_is_tried_again(slept, caplog):
    assert query(CONFLICT, QUEUED, [{"n": 1}]) == [{"n": 1}]
    assert 0 <= slept[0] <= 1
    assert 0 <= slept[1] <= 2
    assert [record.message for record in caplog.records] == ["statement.conflicted"] * 2


def test_a_run_in_one_script_knows_the_same_conflicts_but_those_that_need_a_pause():
    """A script cannot pause: the queue would be as full at the next merge, and at all others."""
    script = files("pmp_launcher").joinpath("sql", "run.sql").read_text("utf-8")
    known = re.findall(r"CONTAINS_SUBSTR\(@@error.message, '([^']*)'\)", script)
    assert known == [text for text in CONFLICTS if text not in str(QUEUED)]
    assert len(known) == len(CONFLICTS) - 1


def test_conflicts_without_end_are_given_up(slept):
    with pytest.raises(BigQueryUnavailable, match="concurrent update"):
        query(CONFLICT)
    assert sum(slept) <= STATEMENT_S + 60.0


def test_a_conflict_at_the_end_of_a_long_statement_is_tried_again(slept):
    class Slow(Client):
        def result(self, **kwargs):
            slept.append(STATEMENT_S - 1)
            return super().result(**kwargs)

    warehouse = BigQueryStatements(Slow(CONFLICT, [{"n": 1}]), call_s=1, statement_s=STATEMENT_S)
    assert warehouse.query(Statement("SELECT 1")) == [{"n": 1}]


@pytest.mark.parametrize(
    "error", [exceptions.BadRequest("syntax"), exceptions.Forbidden("no"), TimeoutError()]
)
def test_other_failures_are_not_tried_again(error):
    with pytest.raises(BigQueryUnavailable):
        query(error, [])
