import json

import grpc
import pytest
from google.cloud.run_v2 import RunJobRequest

from tests.contract.deploy.conftest import DAILY, LAUNCHER, MINUTELY
from tests.fakes.google_cloud import PARENT, GoogleCloud

START = f"run.jobs.run_job name={PARENT}/jobs/{LAUNCHER}\n"
RESUME = "".join(f"scheduler.resume_job name={PARENT}/jobs/{name}\n" for name in (DAILY, MINUTELY))
PAUSE = RESUME.replace("resume_job", "pause_job")
JOB = "2026-01-24_pmp-curate-status-1"
DRAIN = (
    f"dataflow.update_job project_id=pmp-test location=europe-west1 job_id={JOB} "
    'job={"requested_state":"JOB_STATE_DRAINED"}\n'
)


def running(cloud):
    for schedule in cloud.schedules.values():
        schedule.state = "ENABLED"
    cloud.add_job("pmp-curate-status")


def with_engines(cloud, **engines):
    """Schedules with an engine in their body; `up` decides by the body alone."""
    running(cloud)
    for engine, (name, state) in engines.items():
        schedule = cloud.schedules[f"{PARENT}/jobs/{name}"]
        schedule.state, schedule.http_target.body = state, f'{{"engine": "{engine}"}}'.encode()


def with_second_pipeline(cloud):
    running(cloud)
    cloud.add_launcher("pmp-ingest-events-launcher", "ingest_events")


def with_jobs_of_others(cloud):
    cloud.add_job("somebody-elses")
    cloud.add_schedule("somebody-elses", "ENABLED")


@pytest.mark.parametrize(
    ("arrange", "arguments", "calls"),
    [
        (lambda _: None, ("up",), START + RESUME),
        (lambda cloud: cloud.run_job(RunJobRequest(name=f"{PARENT}/jobs/{LAUNCHER}")), ("up",), RESUME),
        (with_second_pipeline, ("up",), START.replace(LAUNCHER, "pmp-ingest-events-launcher")),
        (
            lambda cloud: cloud.add_job("pmp-curate-status-backfill", batch=True),
            ("up",),
            START + RESUME,
        ),
        (
            lambda cloud: with_engines(cloud, sql=(MINUTELY, "PAUSED"), beam=(DAILY, "ENABLED")),
            ("up", "--engine", "sql"),
            PAUSE.splitlines(keepends=True)[0] + RESUME.splitlines(keepends=True)[1],
        ),
        (running, ("down",), PAUSE + DRAIN),
        (running, ("down", "--cancel"), PAUSE + DRAIN.replace("DRAINED", "CANCELLED")),
        (
            lambda cloud: cloud.add_job("pmp-curate-status", "PENDING"),  # it cannot be drained
            ("down",),
            DRAIN.replace("DRAINED", "CANCELLED"),
        ),
        (with_jobs_of_others, ("down",), "nothing to do\n"),
    ],
)
def test_a_dry_run_prints_every_call_and_makes_none(pmpctl, deployed, arrange, arguments, calls):
    arrange(deployed)
    deployed.changes.clear()
    assert pmpctl(*arguments, "--dry-run") == (0, calls, "")
    assert deployed.changes == []


@pytest.mark.parametrize(
    ("arrange", "arguments", "said"),
    [
        (
            lambda _: None,
            (),
            "This starts 1 streaming job: about 123 USD a month each. Say so with --yes.",
        ),
        (
            lambda cloud: with_engines(cloud, beam=(DAILY, "PAUSED")),
            (),
            "This starts a Dataflow batch job at each feature run. Say so with --yes.",
        ),
        (
            lambda cloud: cloud.add_job("pmp-curate-status", "DRAINING"),
            ("--yes",),
            (
                "pmp-curate-status is DRAINING: repeat `up` when it has ended "
                "(`gcloud dataflow jobs list --status=active`)"
            ),
        ),
        (
            lambda cloud: (cloud.schedules.clear(), cloud.launchers.clear()),
            (),
            "nothing is deployed here: run `terraform apply` first",
        ),
        (
            lambda cloud: with_engines(cloud, sql=(MINUTELY, "ENABLED"), beam=(DAILY, "ENABLED")),
            (),
            "schedules of several engines are deployed: choose one with --engine beam|sql",
        ),
        (
            lambda _: None,
            ("--engine", "beam"),
            "--engine beam has no schedule; engines with a schedule: none",
        ),
    ],
)
def test_up_refuses_in_one_line_and_changes_nothing(pmpctl, deployed, arrange, arguments, said):
    arrange(deployed)
    assert pmpctl("up", *arguments) == (1, "", f"pmpctl: {said}\n")
    assert deployed.changes == []


def test_up_starts_the_streaming_job_resumes_the_schedules_and_waits(pmpctl, deployed):
    code, out, _ = pmpctl("up", "--yes")
    enabled = "".join(f"schedule {name} is ENABLED\n" for name in (DAILY, MINUTELY))
    assert (code, out) == (0, f"{START}{RESUME}{enabled}job pmp-curate-status ({JOB}) is RUNNING\n")
    assert deployed.changes == [("RunJob", LAUNCHER), ("ResumeJob", DAILY), ("ResumeJob", MINUTELY)]


def test_second_up_does_nothing_and_asks_nothing(pmpctl, deployed):
    running(deployed)
    code, out, _ = pmpctl("up")
    assert (code, out.splitlines()[0]) == (0, "nothing to do")
    assert deployed.changes == []


def test_a_launcher_that_fails_is_told(pmpctl, deployed):
    deployed.launch_outcome = "EXECUTION_FAILED"
    code, _, err = pmpctl("up", "--yes")
    assert code == 1
    assert err.endswith(
        "pmpctl: the submitter job of curate_status is FAILED: see "
        "`gcloud logging read 'resource.labels.job_name=\"pmp-curate-status-launcher\"'`\n"
    )


def test_a_job_that_fails_at_its_start_is_told_with_its_id(pmpctl, deployed, monkeypatch):
    deployed.add_job("pmp-curate-status", "FAILED", number=5)  # an earlier one

    def advance(_):
        GoogleCloud.advance(deployed)
        for job in deployed.jobs.values():
            job.current_state = "JOB_STATE_FAILED"

    monkeypatch.setattr(deployed, "advance", advance)
    code, _, err = pmpctl("up", "--yes")
    assert code == 1
    assert err.endswith(
        f"pmpctl: job pmp-curate-status ({JOB}) is FAILED: see "
        f"`gcloud logging read 'resource.labels.job_id=\"{JOB}\"'`\n"
    )


def test_a_job_that_began_while_a_person_thought_it_over_is_drained(pmpctl, deployed, monkeypatch):
    job = deployed.add_job("pmp-curate-status", "PENDING")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: deployed.advance())
    assert pmpctl("down")[0] == 0
    assert deployed.changes == [("JOB_STATE_DRAINED", job)]


def test_down_pauses_drains_and_waits_until_nothing_works(pmpctl, deployed):
    running(deployed)
    code, out, _ = pmpctl("down", "--yes")
    idle = "nothing runs; tables, files and undelivered messages are kept\n"
    assert (code, out) == (0, PAUSE + DRAIN + idle)
    assert deployed.changes == [("PauseJob", DAILY), ("PauseJob", MINUTELY), ("JOB_STATE_DRAINED", JOB)]
    assert pmpctl("down") == (0, f"nothing to do\n{idle}", "")


def test_down_interrupts_a_launcher_in_the_act(pmpctl, deployed):
    pmpctl("up", "--yes", "--no-wait")
    code, out, _ = pmpctl("down", "--yes")
    execution = f"{PARENT}/jobs/{LAUNCHER}/executions/{LAUNCHER}-1"
    assert code == 0
    assert f"run.executions.cancel_execution name={execution}\n" in out
    assert deployed.jobs == {}


def test_down_sees_runs_of_features_and_backfills(pmpctl, deployed):
    run = deployed.add_job("pmp-station-features-features-beam-20260124t120000z-1", batch=True)
    backfill = deployed.add_job("pmp-curate-status-backfill", batch=True)
    code, out, _ = pmpctl("down", "--no-wait")
    assert code == 0
    assert f"({run}) is RUNNING" in out
    assert f"({backfill}) is RUNNING" in out


@pytest.mark.parametrize("state", ["DISABLED", "UPDATE_FAILED"])
def test_a_schedule_that_cannot_be_resumed_is_told_and_not_asked_for(pmpctl, deployed, state):
    deployed.schedules[f"{PARENT}/jobs/{DAILY}"].state = state
    code, out, _ = pmpctl("up", "--yes")
    assert code == 0
    assert ("ResumeJob", DAILY) not in deployed.changes
    assert f"schedule {DAILY} is {state}: delete it and run `terraform apply`\n" in out


def test_down_leaves_a_batch_job_to_its_end_unless_it_is_cancelled(pmpctl, deployed):
    deployed.add_job("pmp-station-features", batch=True)
    code, out, _ = pmpctl("down", "--no-wait")
    assert (code, out) == (
        0,
        "nothing to do\njob pmp-station-features (2026-01-24_pmp-station-features-1) is RUNNING\n",
    )
    assert pmpctl("down", "--cancel", "--yes")[0] == 0
    assert deployed.changes == [("JOB_STATE_CANCELLED", "2026-01-24_pmp-station-features-1")]


def test_down_that_leaves_something_exits_1(pmpctl, deployed):
    deployed.add_job("pmp-station-features", batch=True)  # which never ends here
    assert pmpctl("down", "--yes")[0] == 1


def test_minimum_instances_are_told_because_no_call_of_ours_ends_them(pmpctl, deployed):
    deployed.add_service("pmp-writer", minimum=2)
    assert pmpctl("down", "--no-wait")[1].endswith(
        "service pmp-writer keeps 2 instances: set `sizes` in terraform.tfvars\n"
    )


def test_json_of_a_dry_run_holds_the_calls_and_the_state(pmpctl, deployed):
    running(deployed)
    code, out, err = pmpctl("down", "--dry-run", "--json")
    schedule = {
        "timing": "*/1 * * * *",
        "engine": None,
        "last_attempt": "2026-01-24T12:00:00Z",
        "last_code": 0,
    }
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "dry_run": True,
        "calls": (PAUSE + DRAIN).splitlines(),
        "schedules": [{"id": name, "state": "ENABLED", **schedule} for name in (DAILY, MINUTELY)],
        "jobs": [
            {
                "id": JOB,
                "name": "pmp-curate-status",
                "state": "RUNNING",
                "since": "2026-01-24T12:00:00Z",
                "created": "2026-01-24T11:00:00Z",
                "streaming": True,
            }
        ],
        "launchers": [
            {"pipeline": "curate_status", "outcome": None},
            {"pipeline": "station_features", "outcome": None},
        ],
        "kept": [],
        "broken": [],
    }


@pytest.mark.parametrize("status", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_a_call_that_fails_for_the_moment_is_made_again(pmpctl, deployed, status):
    deployed.failures = {"ListJobs": [status, status], "ResumeJob": [status]}
    assert pmpctl("up", "--yes", "--no-wait")[0] == 0


def test_a_launch_is_never_repeated(pmpctl, deployed):
    deployed.failures = {"RunJob": [grpc.StatusCode.UNAVAILABLE]}
    assert pmpctl("up", "--yes")[2] == "pmpctl: run.jobs.run_job: RunJob was told to fail\n"
    assert deployed.changes == []


def test_a_refusal_is_one_line(pmpctl, deployed):
    deployed.failures = {"ResumeJob": [grpc.StatusCode.PERMISSION_DENIED]}
    code, out, err = pmpctl("up", "--yes")
    assert (code, out) == (1, START + RESUME.splitlines(keepends=True)[0])
    assert err == "pmpctl: scheduler.resume_job: ResumeJob was told to fail\n"


def test_down_tries_everything_before_it_says_what_failed(pmpctl, deployed):
    deployed.failures = {"PauseJob": [grpc.StatusCode.PERMISSION_DENIED]}
    running(deployed)
    code, out, err = pmpctl("down", "--yes")
    assert (code, out) == (1, PAUSE + DRAIN)
    assert err == "pmpctl: scheduler.pause_job: PauseJob was told to fail\n"
    assert deployed.changes == [("PauseJob", MINUTELY), ("JOB_STATE_DRAINED", JOB)]


@pytest.mark.parametrize("unset", ["PROJECT_ID", "REGION"])
def test_a_project_and_a_region_must_be_named(pmpctl, monkeypatch, unset):
    monkeypatch.delenv(unset)
    assert pmpctl("down") == (
        1,
        "",
        f"pmpctl: unset: {unset}; `terraform output environment` prints them (docs/3-deploy.md, step 6)\n",
    )
