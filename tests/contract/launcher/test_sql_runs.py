"""Runs as BigQuery jobs: Google's client in front of a BigQuery that takes an id once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from pmp_launcher.cloud.executor import NO_TRACE
from pmp_runtime.bigquery.queries import BigQueryUnavailable
from pmp_schema.features.runs import Status

RUN = "features-sql-20251116t021500z"


def test_of_fifty_at_once_one_starts_the_run(instance, bigquery, sql):
    instances = [instance(timeout_s=20) for _ in range(2)]
    with ThreadPoolExecutor(50) as pool:
        launches = list(pool.map(lambda n: instances[n % 2].start(sql), range(50)))
    assert [launch.is_new for launch in launches].count(True) == 1
    assert {launch.run.run_id for launch in launches} == {RUN}
    assert set(bigquery.jobs) == {f"{RUN}-1", f"{RUN}-1-work"}
    assert bigquery.inserts.count(f"{RUN}-1-work") == 1


def test_a_run_s_state_is_known_to_every_instance(instance, bigquery, sql, clock):
    one, other = instance(), instance()
    launch = one.start(sql)
    assert (launch.run.status, launch.run.executor, launch.run.requested_at) == ("started", "sql", clock.now)
    assert other.find(RUN).status is Status.REQUESTED
    clock.forward(seconds=2)
    bigquery.run(f"{RUN}-1-work")
    assert other.find(RUN).status is Status.STARTED
    began = clock.now
    clock.forward(seconds=2)
    bigquery.finish(f"{RUN}-1-work", 1234)
    run = other.find(RUN)
    assert (run.status, run.rows, run.error) == (Status.SUCCEEDED, 1234, None)
    assert (run.wanted, run.started_at, run.finished_at) == (sql, began, began + timedelta(seconds=2))
    again = other.start(sql)
    assert (again.is_new, again.run) == (False, run)


def test_the_work_is_one_script_with_a_deadline_where_the_tables_are(instance, bigquery, sql):
    instance().start(sql)
    job = bigquery.jobs[f"{RUN}-1-work"]
    query = job["configuration"]["query"]["query"]
    assert "station_features_features_sql_20251116t021500z_1" in query
    assert "MERGE `pmp-test.pmp_features.station_features`" in query
    assert "TIMESTAMP '2025-11-16 02:15:00+00:00'" in query
    assert job["configuration"]["jobTimeoutMs"] == "1200000"
    assert job["jobReference"]["location"] == "europe-west1"


def test_a_failed_run_is_attempted_again_under_the_next_number(instance, bigquery, sql):
    instance().start(sql)
    bigquery.fail(f"{RUN}-1-work", "invalidQuery", "could not serialize")
    failed = instance().find(RUN)
    assert (failed.status, failed.error) == (Status.FAILED, "invalidQuery: could not serialize")
    launch = instance().start(sql)
    assert (launch.is_new, launch.run.attempt_id, launch.follows) == (True, f"{RUN}-2", failed)
    assert instance().find(RUN).attempt == 2


def test_fifty_at_once_after_a_failure_make_one_more_attempt(instance, bigquery, sql):
    instance().start(sql)
    bigquery.fail(f"{RUN}-1-work", "stopped", "killed")
    starter = instance(timeout_s=20)
    with ThreadPoolExecutor(50) as pool:
        launches = list(pool.map(lambda _: starter.start(sql), range(50)))
    assert [launch.is_new for launch in launches].count(True) == 1
    assert [job_id for job_id in bigquery.jobs if job_id.endswith("-work")] == [
        f"{RUN}-1-work",
        f"{RUN}-2-work",
    ]


def test_a_lost_answer_to_the_claim_does_not_lose_the_run(instance, bigquery, sql):
    bigquery.lose_answers = 1
    assert instance().start(sql).is_new
    assert bigquery.inserts == [f"{RUN}-1", f"{RUN}-1", f"{RUN}-1-work"]


def test_a_lost_answer_to_the_work_starts_it_once(instance, bigquery, sql):
    starter = instance()
    starter.start(sql)
    bigquery.fail(f"{RUN}-1-work", "stopped", "killed")
    bigquery.inserts.clear()
    answer = bigquery.answer

    def lose_the_work(method, path, query, body):
        if method == "POST" and body.get("jobReference", {}).get("jobId", "").endswith("-work"):
            bigquery.lose_answers, bigquery.answer = 1, answer
        return answer(method, path, query, body)

    bigquery.answer = lose_the_work
    launch = starter.start(sql)
    assert (launch.is_new, launch.run.status) == (True, Status.STARTED)
    assert bigquery.inserts == [f"{RUN}-2", f"{RUN}-2-work", f"{RUN}-2-work"]


def test_work_that_is_refused_fails_the_attempt_at_once(instance, bigquery, sql):
    bigquery.refuse = "-work"
    launch = instance().start(sql)
    assert (launch.is_new, launch.run.status) == (True, Status.FAILED)
    assert launch.run.error.startswith("could not be submitted: BigQuery: Forbidden")
    assert instance().find(RUN).status is Status.FAILED
    bigquery.refuse = None
    assert instance().start(sql).run.attempt == 2


def test_an_instance_that_dies_between_claim_and_work_delays_the_run(instance, bigquery, sql, clock):
    class Dies:
        name = "sql"

        def submit(self, run, *, deadline_s):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        instance(Dies()).start(sql)
    assert instance().start(sql).run.status is Status.REQUESTED
    clock.forward(minutes=5, seconds=1)
    run = instance().find(RUN)
    assert (run.status, run.error) == (Status.FAILED, NO_TRACE)
    assert instance().start(sql).run.attempt_id == f"{RUN}-2"


def test_a_run_beyond_its_deadline_is_cancelled_and_failed(instance, bigquery, sql, clock):
    instance().start(sql)
    bigquery.run(f"{RUN}-1-work")
    clock.forward(seconds=1200)
    assert instance().find(RUN).status is Status.STARTED
    clock.forward(seconds=1)
    run = instance().find(RUN)
    assert (run.status, run.error) == (Status.FAILED, "deadline of 1200 s")
    assert bigquery.cancelled == [f"{RUN}-1-work"]
    bigquery.finish(f"{RUN}-1-work", 5)
    assert instance().find(RUN).status is Status.SUCCEEDED, "rows that are there count"


def test_an_unknown_run_is_none(instance):
    assert instance().find(RUN) is None


def test_a_bigquery_that_is_away_is_said(instance, bigquery, sql):
    bigquery.down = True
    with pytest.raises(BigQueryUnavailable):
        instance(timeout_s=0.3).start(sql)
