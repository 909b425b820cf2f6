"""Alerts, the dashboard, the budget, and how long images are kept."""

import json
import re

from pmp_schema.topology import TOPOLOGY

POLICY = TOPOLOGY.push_policy
TITLES = {
    'threshold["backlog"]': "A subscription falls behind",
    'threshold["dead_letters"]': "Messages became dead letters",
    'threshold["hold_expires"]': "Held dead letters near their end",
    'threshold["dataflow_lag"]': "A Dataflow job lags",
    'query["freshness"]': "No feed publishes",
    'query["polls"]': "A system's polls fail",
    'query["schedules"]': "A schedule's calls fail",
    'query["errors"]': "A service fails",
}
CHARTS = {
    "Messages published, per second",
    "Oldest unacknowledged message, seconds",
    "Backlog, messages",
    "Pushes by answer, per second",
    "Dead letters held",
    "Requests by service and answer, per second",
    "Request time, 95th percentile, ms",
    "Instances",
    "Rows appended to BigQuery, per second",
    "Dataflow lag, seconds",
    "Dataflow vCPUs",
}


def policy(resources, alert):
    return resources[f"google_monitoring_alert_policy.{alert}"]


def text(resources, alert):
    return policy(resources, alert)["documentation"][0]["content"]


def query(resources, alert):
    (condition,) = policy(resources, alert)["conditions"]
    return condition["condition_prometheus_query_language"][0]


def test_each_alert_says_what_to_do_and_ends_half_an_hour_after_its_metric_fell_silent(resources):
    prefix = "google_monitoring_alert_policy."
    made = {a.removeprefix(prefix): values for a, values in resources.items() if a.startswith(prefix)}
    titles = {alert: f"Mobility Pulse: {title}" for alert, title in TITLES.items()}
    assert {alert: values["display_name"] for alert, values in made.items()} == titles
    assert [alert for alert in made if not re.search(r"`pmpctl |log|pmp_marts", text(resources, alert))] == []
    assert [one["auto_close"] for values in made.values() for one in values["alert_strategy"]] == [
        "1800s"
    ] * len(made)


def test_the_backlog_alert_says_how_long_a_push_is_tried(resources):
    waits_s = [
        min(POLICY.min_backoff_s * 2**n, POLICY.max_backoff_s)
        for n in range(POLICY.max_delivery_attempts - 1)
    ]
    told = f"tried {POLICY.max_delivery_attempts} times, for about {sum(waits_s) / 3600:.0f} hours"
    assert told in text(resources, 'threshold["backlog"]')


def test_failed_polls_are_counted_by_system_from_the_collectors_log(resources):
    metric = resources["google_logging_metric.poll_failed"]
    assert metric["filter"].split(" AND ") == [
        'resource.type="cloud_run_revision"',
        f'resource.labels.service_name="{TOPOLOGY.services["collector"].id}"',
        'jsonPayload.message="poll.failed"',
        'jsonPayload.feed="station_status"',
    ]
    assert metric["label_extractors"] == {"system": "EXTRACT(jsonPayload.system)"}
    (described,) = metric["metric_descriptor"]
    assert (described["metric_kind"], described["value_type"]) == ("DELTA", "INT64")
    assert [label["key"] for label in described["labels"]] == ["system"]


def test_an_alert_names_a_system_when_more_than_half_of_a_quarter_hours_polls_failed(resources):
    (every_s,) = {s.every_s for s in TOPOLOGY.schedules if s.path == "/collect/station_status"}
    asked = query(resources, 'query["polls"]')
    assert asked["query"] == (
        "sum by (system) (increase(logging_googleapis_com:user_pmp_poll_failed"
        f'{{monitored_resource="cloud_run_revision"}}[900s])) > {900 / every_s / 2:g}'
    )
    assert asked["disable_metric_validation"] is True  # the metric is younger than the alert's first check


def test_no_feed_publishes_where_scheduled_polls_have_no_confirmed_publish(resources):
    asked = query(resources, 'query["freshness"]')["query"]
    called, published = asked.split(" unless ")
    assert f'service_name="{TOPOLOGY.services["collector"].id}"' in called
    assert called.endswith("[900s])) > 7.5")  # a command by hand is no schedule
    assert f'topic_id="{TOPOLOGY.topics["snapshots"].id}",response_class="success"' in published


def test_failed_attempts_are_counted_of_our_schedules(resources):
    metric = resources["google_logging_metric.schedule_failed"]
    resource, jobs, severity = metric["filter"].split(" AND ")
    assert (resource, severity) == ('resource.type="cloud_scheduler_job"', "severity>=ERROR")
    made = [s.id for s in TOPOLOGY.schedules_of("sql")]
    assert sorted(re.findall(r'"([^"]+)"', jobs)) == sorted(made)


def test_an_alert_names_a_schedule_when_two_attempts_failed_or_half_of_the_polls(resources):
    (polls,) = [s.id for s in TOPOLOGY.schedules if s.path == "/collect/station_status"]
    retries = {
        job["retry_config"][0]["retry_count"]
        for address, job in resources.items()
        if address.startswith("google_cloud_scheduler_job.")
    }
    assert retries == {1}  # what the thresholds rest on
    metric = (
        'increase(logging_googleapis_com:user_pmp_schedule_failed{monitored_resource="cloud_scheduler_job"'
    )
    assert query(resources, 'query["schedules"]')["query"] == (
        f'sum by (job_id) ({metric},job_id="{polls}"}}[900s])) > 15 '
        f'or sum by (job_id) ({metric},job_id!="{polls}"}}[1h])) > 1'
    )


def test_the_dashboard_has_every_chart_at_a_place_of_its_own(resources):
    dashboard = json.loads(resources["google_monitoring_dashboard.pipeline"]["dashboard_json"])
    tiles = dashboard["mosaicLayout"]["tiles"]
    assert {tile["widget"]["title"] for tile in tiles} == CHARTS
    positions = [tile[axis] for tile in tiles for axis in ("xPos", "yPos") if axis in tile]
    assert 0 not in positions, "Google leaves a zero out: every plan would show a change"
    assert [(tile.get("xPos", 0), tile.get("yPos", 0)) for tile in tiles] == [
        (24 * (n % 2), 16 * (n // 2)) for n in range(len(CHARTS))
    ]
    assert all(t["widget"]["xyChart"]["dataSets"][0]["timeSeriesQuery"]["prometheusQuery"] for t in tiles)


def test_the_budget_alert_is_for_forty_dollars_a_month(resources):
    budget = resources["google_billing_budget.monthly[0]"]
    assert budget["amount"][0]["specified_amount"] == [{"currency_code": "USD", "nanos": None, "units": "40"}]
    assert budget["all_updates_rule"] == []  # without addresses there are no channels


def test_the_images_of_pipelines_outlive_those_of_services(resources):
    policies = resources["google_artifact_registry_repository.images"]["cleanup_policies"]
    kept = {
        p["id"]: (
            p["most_recent_versions"][0]["package_name_prefixes"],
            p["most_recent_versions"][0]["keep_count"],
        )
        for p in policies
        if p["action"] == "KEEP"
    }
    assert kept == {"keep-recent": (None, 10), "keep-pipelines": (["pmp-beam"], 100)}
