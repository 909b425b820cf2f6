"""What a question to BigQuery outlives, and what it does not."""

import pytest

from pmp_runtime.bigquery.queries import BigQueryUnavailable, Queries
from tests.fakes.bigquery_jobs import bigquery_jobs


@pytest.fixture
def jobs():
    with bigquery_jobs() as running:
        yield running


def ask(jobs):
    queries = Queries(jobs.client, "pmp_replayer", timeout_s=5)
    asked = queries.rows("hours", since=("TIMESTAMP", None))
    return [dict(row) for row in asked]


def test_a_rate_limit_which_is_a_403_is_waited_out(jobs):
    jobs.limited = 1
    jobs.ends = [None]
    assert ask(jobs) == [{"written": 0}]


@pytest.mark.parametrize("told_as", [(400, "job"), (400, ""), (429, "job"), (503, "")])
@pytest.mark.parametrize("reason", ["backendError", "internalError", "rateLimitExceeded"])
def test_a_query_that_failed_for_reasons_of_bigquery_is_asked_again(jobs, reason, told_as):
    jobs.ends, jobs.told_as = [reason, None], told_as
    assert ask(jobs) == [{"written": 0}]
    assert len(jobs.jobs) == 2


@pytest.mark.parametrize("reason", ["invalidQuery", "quotaExceeded", "accessDenied"])
def test_a_query_that_fails_for_reasons_of_its_own_is_not_asked_again(jobs, reason):
    jobs.ends = [reason, None]
    with pytest.raises(BigQueryUnavailable, match=reason):
        ask(jobs)
    assert len(jobs.jobs) == 1
