import json

import pytest

from tests.contract.deploy.conftest import LAUNCHER
from tests.fakes.google_cloud import PARENT

JOB = "2026-01-24_pmp-curate-status-1"
STOP = (
    f"dataflow.update_job project_id=pmp-test location=europe-west1 job_id={JOB} "
    'job={"requested_state":"JOB_STATE_%s"}\n'
)


def test_active_jobs_are_listed_and_ended_ones_on_demand(pmpctl, cloud):
    assert pmpctl("jobs", "list") == (0, "no active jobs\n", "")
    cloud.add_job("pmp-curate-status", "DRAINED", number=2)
    cloud.add_job("pmp-curate-status")
    cloud.add_job("somebody-elses")
    assert [job["state"] for job in json.loads(pmpctl("jobs", "list", "--json")[1])["jobs"]] == ["RUNNING"]
    listed = json.loads(pmpctl("jobs", "list", "--all", "--json")[1])
    assert listed == {
        "jobs": [
            {
                "id": f"2026-01-24_pmp-curate-status-{number}",
                "name": "pmp-curate-status",
                "state": state,
                "since": "2026-01-24T12:00:00Z",
                "created": f"2026-01-24T{12 - number}:00:00Z",
                "streaming": True,
            }
            for number, state in ((1, "RUNNING"), (2, "DRAINED"))
        ]
    }
    assert JOB in pmpctl("jobs", "list")[1]


@pytest.mark.parametrize("name", ["curate_status", "pmp-curate-status", JOB])
@pytest.mark.parametrize(("verb", "state"), [("drain", "DRAINED"), ("cancel", "CANCELLED")])
def test_a_job_is_ended_by_pipeline_name_or_id(pmpctl, cloud, name, verb, state):
    cloud.add_job("pmp-curate-status")
    assert pmpctl("jobs", verb, name, "--dry-run") == (0, STOP % state, "")
    assert cloud.changes == []
    assert (
        pmpctl("jobs", verb, name)[2] == f"pmpctl: This ends pmp-curate-status ({JOB}). Say so with --yes.\n"
    )
    assert pmpctl("jobs", verb, name, "--yes") == (0, STOP % state, "")
    assert cloud.changes == [(f"JOB_STATE_{state}", JOB)]


def test_a_drain_is_not_asked_for_twice_but_can_be_cut_short(pmpctl, cloud):
    cloud.add_job("pmp-curate-status", "DRAINING")
    assert pmpctl("jobs", "drain", "curate_status") == (0, "pmp-curate-status is DRAINING already\n", "")
    assert pmpctl("jobs", "cancel", "curate_status", "--dry-run")[1] == STOP % "CANCELLED"


def test_a_batch_job_cannot_be_drained(pmpctl, cloud):
    cloud.add_job("pmp-station-features", batch=True)
    assert pmpctl("jobs", "drain", "station_features")[2] == (
        "pmpctl: pmp-station-features is a batch job, which cannot be drained: wait, or cancel it\n"
    )


def test_a_feature_run_is_listed_and_cancelled_by_its_pipeline(pmpctl, cloud):
    job = cloud.add_job("pmp-station-features-features-beam-20260124t120000z-1", batch=True)
    assert job in pmpctl("jobs", "list", "--json")[1]
    assert pmpctl("jobs", "cancel", "station_features", "--yes")[0] == 0
    assert cloud.changes == [("JOB_STATE_CANCELLED", job)]


def test_the_newest_job_that_has_ended_is_described_by_its_pipeline(pmpctl, cloud):
    cloud.add_job("pmp-curate-status", "FAILED", number=2)
    newest = cloud.add_job("pmp-curate-status", "FAILED")
    assert json.loads(pmpctl("jobs", "describe", "curate_status")[1])["id"] == newest


@pytest.mark.parametrize("wanted", ["pmp", "pmp-curate"])
def test_the_beginning_of_a_name_is_no_job(pmpctl, cloud, wanted):
    cloud.add_job("pmp-curate-status")
    code, _, err = pmpctl("jobs", "cancel", wanted, "--yes")
    assert (code, cloud.changes) == (1, [])
    assert err == f"pmpctl: no job {wanted}; active: pmp-curate-status ({JOB})\n"


def test_a_pipelines_own_job_is_meant_before_its_backfill(pmpctl, cloud):
    cloud.add_job("pmp-curate-status-backfill", batch=True)
    cloud.add_job("pmp-curate-status")
    assert pmpctl("jobs", "drain", "curate_status", "--dry-run")[1] == STOP % "DRAINED"


@pytest.mark.parametrize("state", ["RUNNING", "DRAINING"])
def test_an_update_runs_the_launcher_with_its_arguments_and_update(pmpctl, deployed, state):
    deployed.add_job("pmp-curate-status", state)
    code, out, _ = pmpctl("jobs", "update", "curate_status", "--yes")
    overrides = '{"container_overrides":[{"args":["curate_status","--runner=DataflowRunner","--update"]}]}'
    assert (code, out) == (0, f"run.jobs.run_job name={PARENT}/jobs/{LAUNCHER} overrides={overrides}\n")
    assert deployed.launch_args == ["curate_status", "--runner=DataflowRunner", "--update"]


@pytest.mark.parametrize("state", ["PENDING", "CANCELLING"])
def test_what_does_not_run_yet_or_any_more_is_not_updated(pmpctl, deployed, state):
    deployed.add_job("pmp-curate-status", state)
    code, _, err = pmpctl("jobs", "update", "curate_status", "--yes")
    assert (code, deployed.changes) == (1, [])
    assert err == f"pmpctl: pmp-curate-status is {state}; only a running or draining job can be updated\n"


def test_what_is_not_there_is_not_updated(pmpctl, deployed):
    assert pmpctl("jobs", "update", "curate_status", "--yes")[2] == (
        "pmpctl: no job pmp-curate-status; active: none\n"
    )


def test_a_description_is_dataflows_own(pmpctl, cloud):
    cloud.add_job("pmp-curate-status")
    told = json.loads(pmpctl("jobs", "describe", JOB)[1])
    assert (told["id"], told["currentState"]) == (JOB, "JOB_STATE_RUNNING")


def test_a_name_of_several_jobs_needs_an_id(pmpctl, cloud):
    cloud.add_job("pmp-curate-status")
    cloud.add_job("pmp-curate-status", "DRAINING", number=2)
    assert pmpctl("jobs", "drain", "curate_status")[2] == (
        "pmpctl: pmp-curate-status: there are 2 jobs, give an id: 2026-01-24_pmp-curate-status-1, "
        "2026-01-24_pmp-curate-status-2\n"
    )
