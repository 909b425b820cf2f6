import pytest
from google.api_core import exceptions

from pmp_launcher.warehouse import BigQueryWarehouse
from pmp_schema.bigquery.queries import BigQueryUnavailable
from pmp_schema.features import Statement

CONFLICT = exceptions.BadRequest("Could not serialize access to table t due to concurrent update")


class Client:
    """Answers each query with the next of what it is given."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def query(self, *_, **__):
        return self

    def result(self, **_):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def query(*answers):
    slept = []
    warehouse = BigQueryWarehouse(Client(*answers), timeout_s=1, statement_s=1, sleep=slept.append)
    return warehouse.query(Statement("SELECT 1")), slept


def test_a_conflict_with_another_statement_is_tried_again():
    assert query(CONFLICT, CONFLICT, [{"n": 1}]) == ([{"n": 1}], [2.0, 4.0])


def test_conflicts_without_end_are_given_up():
    with pytest.raises(BigQueryUnavailable, match="concurrent update"):
        query(*[CONFLICT] * 5, [])


@pytest.mark.parametrize(
    "error", [exceptions.BadRequest("syntax"), exceptions.Forbidden("no"), TimeoutError()]
)
def test_other_failures_are_not_tried_again(error):
    with pytest.raises(BigQueryUnavailable):
        query(error, [])
