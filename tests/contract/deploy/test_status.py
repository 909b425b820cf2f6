import json

import grpc
import pytest

from pmp_schema.topology import TOPOLOGY
from tests.contract.deploy.conftest import DAILY, MINUTELY

UNREADABLE = "BigQuery: {}: a table or view is not there; run `pmpctl tables apply`"
BACKLOG = "pubsub.googleapis.com/subscription/num_undelivered_messages"
OLDEST = "pubsub.googleapis.com/subscription/oldest_unacked_message_age"


@pytest.fixture
def project(deployed):
    for service in TOPOLOGY.services.values():
        deployed.add_service(service.id)
    deployed.add_job("pmp-curate-status")
    labels = {"subscription_id": "pmp-events-to-bq-sub"}
    deployed.add_series(BACKLOG, labels, 7, 3)  # newest first
    deployed.add_series(OLDEST, labels, 42)
    deployed.add_series(BACKLOG, {"subscription_id": "somebody-elses"}, 9)
    return deployed


def told(pmpctl):
    code, out, _ = pmpctl("status", "--json")
    return code, json.loads(out)


def test_every_section_is_told_and_one_that_cannot_be_read_says_why(pmpctl, project):
    code, status = told(pmpctl)
    assert code == 1
    assert status == {
        "target": "cloud",
        "ok": False,
        "problems": [],
        "services": [
            {
                "service": service.id,
                "ready": True,
                "revision": f"{service.id}-00001",
                "url": f"https://{service.id}.run.app",
                "detail": "",
            }
            for service in TOPOLOGY.services.values()
        ],
        "schedules": [
            {
                "schedule": name,
                "state": "PAUSED",
                "timing": "*/1 * * * *",
                "last_attempt": "2026-01-24T12:00:00Z",
                "answer": "ok",
            }
            for name in (DAILY, MINUTELY)
        ],
        "jobs": [
            {
                "id": "2026-01-24_pmp-curate-status-1",
                "name": "pmp-curate-status",
                "state": "RUNNING",
                "since": "2026-01-24T12:00:00Z",
                "created": "2026-01-24T11:00:00Z",
                "streaming": True,
            }
        ],
        "subscriptions": [{"subscription": "pmp-events-to-bq-sub", "undelivered": 7, "oldest_s": 42}],
        "tables": {"error": UNREADABLE.format("freshness")},
        "health": {"error": UNREADABLE.format("health")},
    }


def test_what_is_not_well_is_shown(pmpctl, cloud):
    cloud.add_service("pmp-writer", ready=False)
    cloud.add_schedule(MINUTELY, "ENABLED", code=13)
    cloud.failures = {"ListTimeSeries": [grpc.StatusCode.PERMISSION_DENIED]}
    code, out, _ = pmpctl("status")
    assert code == 1
    assert "the image is not there" in out
    assert "not deployed" in out
    assert "code 13" in out
    assert "subscriptions: monitoring.list_time_series: ListTimeSeries was told to fail" in out
    assert "jobs: none" in out
    assert "the last call of pmp-station-status-every-minute failed: code 13" in out


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda project: project.add_schedule(MINUTELY, "ENABLED", code=13),
            f"the last call of {MINUTELY} failed: code 13",
        ),
        (
            lambda project: (project.jobs.clear(), project.add_schedule(MINUTELY, "ENABLED")),
            "schedules run, but pmp-curate-status (not submitted) does not: `pmpctl up --target cloud`",
        ),
        (
            lambda project: waits(project, "pmp-ops-events-to-bq-sub", 601),
            "the oldest message of pmp-ops-events-to-bq-sub has waited 601 s",
        ),
        (
            lambda project: waits(project, "pmp-events-dataflow-sub", 4000),
            "the oldest message of pmp-events-dataflow-sub has waited 4,000 s",
        ),
    ],
)
def test_what_is_wrong_is_told_as_a_problem(pmpctl, project, change, problem):
    assert told(pmpctl)[1]["problems"] == []
    change(project)
    assert told(pmpctl)[1]["problems"] == [problem]


def test_the_last_call_of_a_paused_schedule_is_no_problem_but_one_that_cannot_run_is(pmpctl, project):
    project.add_schedule(MINUTELY, "PAUSED", code=13)
    assert told(pmpctl)[1]["problems"] == []
    project.add_schedule(MINUTELY, "DISABLED")
    assert told(pmpctl)[1]["problems"] == [f"{MINUTELY} is DISABLED"]


def test_what_is_meant_to_wait_is_no_problem(pmpctl, project):
    waits(project, "pmp-dead-letters-hold-sub", 86_400)
    waits(project, "pmp-events-sub", 86_400)  # a person looks into it, or nobody
    assert told(pmpctl)[1]["problems"] == []
    project.jobs.clear()  # everything is down: what is left waits for the next `up`
    waits(project, "pmp-events-dataflow-sub", 86_400)
    assert told(pmpctl)[1]["problems"] == []


class Ending(dict):
    """Jobs that have ended when they are looked at again."""

    def values(self):
        found = list(super().values())
        self.clear()
        return found


def test_a_job_that_ends_meanwhile_is_told_alike_in_every_section(pmpctl, project):
    project.jobs = Ending(project.jobs)
    waits(project, "pmp-events-dataflow-sub", 4000)
    _, status = told(pmpctl)
    assert [job["state"] for job in status["jobs"]] == ["RUNNING"]
    assert status["problems"] == ["the oldest message of pmp-events-dataflow-sub has waited 4,000 s"]


def waits(project, subscription, seconds):
    labels = {"subscription_id": subscription}
    project.add_series(BACKLOG, labels, 1)
    project.add_series(OLDEST, labels, seconds)
