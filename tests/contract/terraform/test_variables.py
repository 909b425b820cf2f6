"""What the variables change, and what they refuse."""

import pytest

from pmp_schema.topology import TOPOLOGY
from tests.contract.terraform.test_applied import executor

SENSORS = {s.id for s in TOPOLOGY.subscriptions if s.topic.key == "sensor-events"}
PUSHED = TOPOLOGY.push_subscription("sensor-events").id


def ids(plan, kind):
    return {values["name"] for address, values in plan.items() if address.startswith(f"{kind}.")}


def test_modes_decide_which_subscriptions_of_the_sensors_and_for_debugging_exist(switching, switched):
    debug = {s.id for s in TOPOLOGY.subscriptions if s.mode == "debug"}
    made, usual = (ids(plan, "google_pubsub_subscription") for plan in (switching, switched))
    assert made >= SENSORS | debug
    assert usual & (SENSORS | debug) == SENSORS - {PUSHED}
    for plan in (switching, switched):
        assert f"{TOPOLOGY.jobs['ingest_events']}-launcher" in ids(plan, "google_cloud_run_v2_job")


def test_a_feeds_file_is_mounted_into_the_collector(switching):
    container = switching['google_cloud_run_v2_service.this["collector"]']["template"][0]["containers"][0]
    path = next(v["value"] for v in container["env"] if v["name"] == "FEEDS_FILE")
    assert path.startswith(container["volume_mounts"][0]["mount_path"] + "/")
    assert "google_secret_manager_secret_iam_member.feeds[0]" in switching


def test_a_size_replaces_only_what_it_names(switching, switched):
    sized = switching['google_cloud_run_v2_service.this["writer"]']["template"][0]
    usual = switched['google_cloud_run_v2_service.this["writer"]']["template"][0]
    assert (sized["scaling"][0]["min_instance_count"], sized["scaling"][0]["max_instance_count"]) == (1, 20)
    assert sized["max_instance_request_concurrency"] == usual["max_instance_request_concurrency"]


def test_operators_call_what_people_call_and_only_the_dashboard_can_be_public(switching):
    called = {
        member: {a.split('"')[1].split("/")[0] for a, v in switching.items() if v.get("member") == member}
        for member in ("user:ada@example.com", "allUsers")
    }
    assert called == {
        "user:ada@example.com": {"collector", "replayer", "launcher", "dashboard"},
        "allUsers": {"dashboard"},
    }


def test_features_by_dataflow_have_the_other_schedule(switched):
    made = {
        v["name"]: v["schedule"] for a, v in switched.items() if a.startswith("google_cloud_scheduler_job.")
    }
    assert set(made) == {s.id for s in TOPOLOGY.schedules_of("beam")}
    assert made["pmp-features-every-25-minutes"] == "every 25 minutes"
    assert executor(switched) == ("cloud-run-job", "1500")


def test_everybody_gets_the_alerts_and_as_many_the_budget_alert_as_google_takes(switching):
    policies = [v for a, v in switching.items() if a.startswith("google_monitoring_alert_policy.")]
    assert {len(policy["notification_channels"]) for policy in policies} == {6}
    (rule,) = switching["google_billing_budget.monthly[0]"]["all_updates_rule"]
    assert len(rule["monitoring_notification_channels"]) == 5


def test_a_test_environment_has_no_budget_alert_and_its_tables_can_be_removed(switched):
    assert not any(address.startswith("google_billing_budget") for address in switched)
    tables = [v for a, v in switched.items() if a.startswith("google_bigquery_table.this")]
    assert {values["deletion_protection"] for values in tables} == {False}


def test_workers_in_a_subnetwork_have_no_public_addresses(switched):
    job = switched['google_cloud_run_v2_job.pipeline["station_features"]']["template"][0]["template"][0]
    arguments = job["containers"][0]["args"]
    assert "--subnetwork=regions/europe-west1/subnetworks/workers" in arguments
    assert "--no_use_public_ips" in arguments


def test_wrong_values_are_refused_with_what_would_be_right(terraform):
    wrong = {
        "project_id": "My Project",
        "region": "europe-west1-b",
        "environment": "staging",
        "image_tag": "a tag",
        "bucket": "gs://b",
        "repository": "PMP",
        "debug_output_days": 0,
        "feeds_file": "/no/such/file.toml",
        "log_level": "LOUD",
        "sizes": {"writr": {}},
        "sensor_ingestion": "none",
        "feature_engine": "spark",
        "feature_deadline_s": 1600,
        "dataflow": {"max_workers": 0},
        "subnetwork": "workers",
        "operators": ["allUsers"],
        "dashboard_viewers": ["ada"],
        "monthly_budget": -1,
        "budget_currency": "dollars",
        "alert_emails": ["ada"],
    }
    answer = terraform.refused(**wrong)
    assert [name for name in wrong if f"{name}:" not in answer and f"{name}." not in answer] == []


@pytest.mark.parametrize(
    "size", [{"cpu": "0.5"}, {"cpu": "500m", "concurrency": 2}, {"cpu": ".08"}], ids=lambda size: size["cpu"]
)
def test_less_than_one_cpu_is_refused_with_more_than_one_request_at_a_time(terraform, size):
    assert "sizes: less than one CPU takes one request" in terraform.refused(sizes={"dashboard": size})


def test_less_than_one_cpu_takes_one_request_at_a_time(switching):
    small = switching['google_cloud_run_v2_service.this["dashboard"]']["template"][0]
    assert small["max_instance_request_concurrency"] == 1
    assert small["containers"][0]["resources"][0]["limits"]["cpu"] == "0.5"
