"""Who may do what: the whole table, so that a new grant is a change that a reviewer sees."""

import re

from pmp_schema.topology import TOPOLOGY

DATASETS = tuple(TOPOLOGY.datasets)
HELD = "pmp-dead-letters-hold-sub"
APPENDER = "pmpRowAppender"
PUBSUB = "service-123456789012@gcp-sa-pubsub"

# Account -> role -> on what; `project` where Google has no smaller scope.
GRANTS = {
    "pmp-collector": {
        "pubsub.publisher": {"pmp-events", "pmp-station-info", "pmp-sensor-events", "pmp-ops-events"},
    },
    "pmp-writer": {
        "pubsub.publisher": {"pmp-dead-letters", "pmp-ops-events"},
        APPENDER: {"feed_snapshots", "raw_events", "station_information", "dead_letters", "events"},
    },
    "pmp-dlq-replayer": {
        "pubsub.publisher": {"pmp-events", "pmp-station-info", "pmp-sensor-events", "pmp-ops-events"},
        "pubsub.subscriber": {HELD},
        "bigquery.dataViewer": {"pmp_raw", "pmp_curated", "pmp_ops"},
        "bigquery.jobUser": {"project"},
    },
    "pmp-feature-launcher": {
        "pubsub.publisher": {"pmp-dead-letters", "pmp-ops-events"},
        "bigquery.dataViewer": {"pmp_raw", "pmp_curated", "pmp_ops"},
        "bigquery.dataEditor": {"pmp_features", "station_daily_counts"},
        "bigquery.jobUser": {"project"},
        "pmpFeatureStarter": {"update-station-features-launcher"},
    },
    "pmp-dashboard": {
        "bigquery.dataViewer": set(DATASETS),
        "bigquery.jobUser": {"project"},
    },
    "pmp-push": {"run.invoker": {"pmp-writer"}},
    "pmp-scheduler": {"run.invoker": {TOPOLOGY.services[s.service].id for s in TOPOLOGY.schedules}},
    "pmp-dataflow-submitter": {
        "pubsub.publisher": {"pmp-ops-events"},
        "bigquery.dataViewer": {"pmp_raw", "pmp_curated", "pmp_ops"},
        "bigquery.dataEditor": {"pmp_features", "station_daily_counts"},
        "bigquery.jobUser": {"project"},
        "bigquery.readSessionUser": {"project"},
        "dataflow.developer": {"project"},
        "storage.objectAdmin": {"pmp-dataflow-my-project"},
        "storage.legacyBucketReader": {"pmp-dataflow-my-project"},
        "iam.serviceAccountUser": {"pmp-dataflow-worker"},
    },
    "pmp-dataflow-worker": {
        "pubsub.publisher": {"pmp-sensor-events", "pmp-ops-events", "pmp-dead-letters"},
        "pubsub.subscriber": {"pmp-events-dataflow-sub"},
        "pubsub.viewer": {"pmp-events-dataflow-sub", "pmp-events"},
        APPENDER: {"station_status", "feed_polls", "raw_events"},
        "bigquery.dataViewer": {"pmp_raw", "pmp_curated"},
        "bigquery.dataEditor": {"pmp_features"},
        "bigquery.jobUser": {"project"},
        "bigquery.readSessionUser": {"project"},
        "dataflow.worker": {"project"},
        "storage.objectAdmin": {"pmp-dataflow-my-project"},
        "storage.legacyBucketReader": {"pmp-dataflow-my-project"},
        "artifactregistry.reader": {"pmp"},
    },
    PUBSUB: {
        "pubsub.publisher": {"pmp-dead-letters"},
        "pubsub.subscriber": {s.id for s in TOPOLOGY.subscriptions if s.dead_letter and s.mode == "always"},
        "iam.serviceAccountTokenCreator": {"pmp-push"},
    },
}
SCOPES = (
    "topic",
    "subscription",
    "table_id",
    "dataset_id",
    "bucket",
    "repository",
    "service_account_id",
    "name",
)


def granted(resources):
    """Account -> role -> on what, from the IAM resources of an apply."""
    grants = {}
    for address, values in resources.items():
        if "_iam_member" not in address.split(".")[0]:
            continue
        account = re.fullmatch(r"serviceAccount:(.+?)(\.iam\.gserviceaccount\.com)", values["member"])[1]
        role = values["role"].rsplit("/", 1)[-1]
        scope = next((values[key] for key in SCOPES if values.get(key)), "project")
        scope = scope.rsplit("/", 1)[-1]
        grants.setdefault(account.removesuffix("@my-project"), {}).setdefault(role, set()).add(scope)
    return grants


def test_every_account_has_exactly_these_permissions(resources):
    assert granted(resources) == GRANTS


def test_nobody_outside_the_project_may_call_a_service_by_default(resources):
    members = {values.get("member", "") for values in resources.values()}
    assert not members & {"allUsers", "allAuthenticatedUsers"}


def test_custom_roles_hold_no_more_than_they_are_for(resources):
    roles = {v["role_id"]: set(v["permissions"]) for a, v in resources.items() if "custom_role" in a}
    assert roles[APPENDER] == {"bigquery.tables.get", "bigquery.tables.updateData"}
    assert "run.jobs.runWithOverrides" in roles["pmpFeatureStarter"]
    assert not any(
        p.endswith((".setIamPolicy", ".delete", ".create")) for role in roles.values() for p in role
    )
