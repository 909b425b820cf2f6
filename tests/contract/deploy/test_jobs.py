import pytest

from tests.contract.deploy.conftest import LAUNCHER
from tests.fakes.google_cloud import PARENT


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
        "pmpctl: pmp-curate-status: one active job is needed; active: none\n"
    )


def test_of_two_active_jobs_none_is_updated(pmpctl, deployed):
    ids = [
        deployed.add_job("pmp-curate-status", state, number=n)
        for n, state in ((1, "RUNNING"), (2, "DRAINING"))
    ]
    code, _, err = pmpctl("jobs", "update", "curate_status", "--yes")
    assert (code, deployed.changes) == (1, [])
    assert err == f"pmpctl: pmp-curate-status: one active job is needed; active: {', '.join(ids)}\n"
