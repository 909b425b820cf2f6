"""Who may do what: the whole table, so that a new grant is a change that a reviewer sees."""

import re

from pmp_schema.topology import TOPOLOGY

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
        "bigquery.dataViewer": {"feed_snapshots", "raw_events", "station_information", "pmp_ops"},
        "bigquery.jobUser": {"project"},
    },
    "pmp-feature-launcher": {
        "pubsub.publisher": {"pmp-ops-events"},
        "bigquery.dataViewer": {"raw_events", "events"},
        "bigquery.dataEditor": {"pmp_features", "station_daily_counts"},
        "bigquery.jobUser": {"project"},
        "pmpFeatureStarter": {"update-station-features-launcher"},
    },
    "pmp-dashboard": {
        "bigquery.dataViewer": {
            "station_features", "dead_letters", "events", "pmp_raw", "pmp_curated", "pmp_marts",
        },
        "bigquery.jobUser": {"project"},
    },
    "pmp-push": {"run.invoker": {"pmp-writer"}},
    "pmp-scheduler": {"run.invoker": {TOPOLOGY.services[s.service].id for s in TOPOLOGY.schedules}},
    "pmp-dataflow-submitter": {
        "pubsub.publisher": {"pmp-ops-events"},
        "bigquery.dataViewer": {"raw_events"},
        "bigquery.dataEditor": {"pmp_features", "station_daily_counts"},
        "bigquery.jobUser": {"project"},
        "dataflow.developer": {"project"},
        "pmpMachineTypes": {"project"},
        "storage.objectAdmin": {"pmp-dataflow-my-project"},
        "storage.legacyBucketReader": {"pmp-dataflow-my-project"},
        "iam.serviceAccountUser": {"pmp-dataflow-worker"},
    },
    "pmp-dataflow-worker": {
        "pubsub.publisher": {"pmp-sensor-events", "pmp-ops-events", "pmp-dead-letters"},
        "pubsub.subscriber": {"pmp-events-dataflow-sub"},
        "pubsub.viewer": {"pmp-events-dataflow-sub", "pmp-events"},
        APPENDER: {"station_status", "feed_polls"},
        "bigquery.dataViewer": {
            "feed_snapshots", "raw_events", "station_status", "feed_polls", "station_daily_counts", "dead_letters",
        },
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
}  # fmt: skip
PULLED = TOPOLOGY.pull_subscription("sensor-events").id
# What the workers may do besides where they take the sensor events.
AT_HIGH_VOLUME = {
    "pubsub.subscriber": {PULLED},
    "pubsub.viewer": {PULLED, "pmp-sensor-events"},
    APPENDER: {"raw_events"},
}
ROLES = {
    APPENDER: {"bigquery.tables.get", "bigquery.tables.updateData"},
    "pmpFeatureStarter": {
        "run.executions.cancel", "run.executions.list", "run.jobs.get", "run.jobs.run", "run.jobs.runWithOverrides",
    },
    "pmpMachineTypes": {
        "compute.machineTypes.get", "compute.machineTypes.list", "compute.projects.get", "compute.regions.list",
        "compute.zones.list",
    },
}  # fmt: skip
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
    """Service account -> role -> on what, from the IAM resources of an apply."""
    grants = {}
    for address, values in resources.items():
        service_account = re.fullmatch(
            r"serviceAccount:(.+?)(\.iam\.gserviceaccount\.com)", values.get("member", "")
        )
        if "_iam_member" not in address.split(".")[0] or service_account is None:
            continue
        account = service_account[1]
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


def test_custom_roles_hold_exactly_these_permissions(resources):
    assert {v["role_id"]: set(v["permissions"]) for a, v in resources.items() if "custom_role" in a} == ROLES


def test_at_high_volume_the_workers_may_do_more_and_pubsub_less(switching, switched):
    worker, agent = dict(GRANTS["pmp-dataflow-worker"]), dict(GRANTS[PUBSUB])
    for role, on in AT_HIGH_VOLUME.items():
        worker[role] = worker[role] | on
    assert granted(switching)["pmp-dataflow-worker"] == worker
    agent["pubsub.subscriber"] = agent["pubsub.subscriber"] - {TOPOLOGY.push_subscription("sensor-events").id}
    assert granted(switched) == GRANTS | {"pmp-dataflow-worker": worker, PUBSUB: agent}
