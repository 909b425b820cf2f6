"""The module applied by Terraform to a stand-in of Google: what it makes is what the topology names."""

import json
from base64 import b64decode

import pytest

from pmp_beam.dataflow import dataflow_options
from pmp_beam.settings import Settings
from pmp_schema import tables
from pmp_schema.topology import TOPOLOGY
from pmp_writer.sinks import WRITTEN
from tests.contract.terraform.conftest import given

TABLES = [name for dataset in TOPOLOGY.datasets.values() for name in dataset.tables]
VIEWS = [name for dataset in TOPOLOGY.datasets.values() for name in dataset.views]
POLICY = TOPOLOGY.push_policy


def of(resources, kind, name="this"):
    return [values for address, values in resources.items() if address.startswith(f"{kind}.{name}[")]


def test_a_second_apply_changes_nothing(terraform, resources):
    assert resources
    assert terraform.changes() == ""


def test_the_registry_can_be_made_alone_and_tells_where_images_go(terraform, tmp_path):
    state = f"-state={tmp_path}/terraform.tfstate"
    alone = ("-target=google_artifact_registry_repository.images", "-auto-approve", "-input=false")
    applied = terraform.run("apply", *alone, state, *given({}))
    assert applied.returncode == 0, applied.stderr
    made = set(terraform.run("state", "list", state).stdout.split())
    told = terraform.run("output", "-raw", state, "registry").stdout
    assert told == "europe-west1-docker.pkg.dev/my-project/pmp"
    assert {one for one in made if not one.startswith("google_project_service.")} == {
        "google_artifact_registry_repository.images"
    }
    assert 'google_project_service.api["pubsub"]' in made


def test_the_files_are_formatted(terraform):
    assert terraform.run("fmt", "-check").stdout == ""


def test_the_api_by_which_pmpctl_acts_as_another_account_is_enabled(resources):
    assert 'google_project_service.api["iamcredentials"]' in resources


def test_topics_subscriptions_and_datasets_are_those_of_the_topology(resources):
    subscriptions = of(resources, "google_pubsub_subscription")
    assert {t["name"] for t in of(resources, "google_pubsub_topic")} == {
        t.id for t in TOPOLOGY.topics.values()
    }
    assert {s["name"]: s["topic"].rsplit("/", 1)[-1] for s in subscriptions} == {
        s.id: s.topic.id for s in TOPOLOGY.subscriptions if s.mode == "always"
    }
    assert {d["dataset_id"] for d in of(resources, "google_bigquery_dataset")} == set(TOPOLOGY.datasets)


def test_subscriptions_never_expire_and_keep_messages_as_long_as_the_topology_says(resources):
    retention = {s.id: f"{s.retention_s}s" for s in TOPOLOGY.subscriptions}
    for made in of(resources, "google_pubsub_subscription"):
        assert made["expiration_policy"] == [{"ttl": ""}]
        assert made["message_retention_duration"] == retention[made["name"]]


def test_the_ack_deadline_is_longer_than_a_handlers_budget(resources):
    for made in of(resources, "google_pubsub_subscription"):
        assert POLICY.handler_budget_s < made["ack_deadline_seconds"] <= 600
    writer = resources['google_cloud_run_v2_service.this["writer"]']["template"][0]
    assert int(writer["timeout"].removesuffix("s")) >= POLICY.handler_budget_s


@pytest.mark.parametrize(
    "subscription", [s for s in TOPOLOGY.subscriptions if s.mode == "always"], ids=lambda s: s.id
)
def test_a_subscription_has_the_policies_of_its_kind(resources, subscription):
    made = resources[f'google_pubsub_subscription.this["{subscription.id}"]']
    dead_letters = {
        "dead_letter_topic": f"projects/my-project/topics/{TOPOLOGY.topics['dead-letters'].id}",
        "max_delivery_attempts": POLICY.max_delivery_attempts,
    }
    backoff = {"minimum_backoff": f"{POLICY.min_backoff_s}s", "maximum_backoff": f"{POLICY.max_backoff_s}s"}
    assert made["dead_letter_policy"] == ([dead_letters] if subscription.dead_letter else [])
    assert made["retry_policy"] == ([backoff] if subscription.push_path else [])
    if subscription.push_path is None:
        assert made["push_config"] == []
        return
    (push,) = made["push_config"]
    writer = resources['google_cloud_run_v2_service.this["writer"]']
    assert push["push_endpoint"] == f"{writer['uri']}{subscription.push_path}"
    assert push["oidc_token"] == [
        {
            "audience": TOPOLOGY.push_audience,
            "service_account_email": "pmp-push@my-project.iam.gserviceaccount.com",
        }
    ]


def test_the_writer_accepts_the_tokens_that_pubsub_is_told_to_send(resources):
    writer = resources['google_cloud_run_v2_service.this["writer"]']
    variables = {v["name"]: v["value"] for v in writer["template"][0]["containers"][0]["env"]}
    assert writer["custom_audiences"] == [TOPOLOGY.push_audience]
    assert variables["PUSH_AUTH"] == "iam"
    assert variables["PUSH_AUDIENCE"] == TOPOLOGY.push_audience
    assert variables["PUSH_SERVICE_ACCOUNT"] == "pmp-push@my-project.iam.gserviceaccount.com"


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_made_from_its_schema_file(resources, name):
    made, wanted = resources[f'google_bigquery_table.this["{name}"]'], tables.table(name)
    columns = [{"description": ""} | column for column in json.loads(made["schema"])]
    assert (made["dataset_id"], made["table_id"]) == (wanted.dataset, name)
    assert columns == wanted.api_schema()
    assert [p["field"] for p in made["time_partitioning"]] == [wanted.partition_field]
    assert made["clustering"] == list(wanted.cluster)
    assert made["deletion_protection"] is True


def test_every_view_is_made_from_its_file_and_after_the_views_that_it_reads(resources):
    ranks = ("materialized", "view", "view_of_views", "view_of_views_of_views")
    rank = {
        v["table_id"]: n for n, kind in enumerate(ranks) for v in of(resources, "google_bigquery_table", kind)
    }
    assert set(rank) == set(VIEWS)
    for kind in ranks:
        for made in of(resources, "google_bigquery_table", kind):
            query = (made["view"] or made["materialized_view"])[0]["query"]
            assert query == tables.view_sql(made["table_id"], "my-project")
            assert made["dataset_id"] == TOPOLOGY.dataset_of(made["table_id"]).id
            sources = [view for view in VIEWS if f".{view}`" in query]
            assert all(rank[source] < rank[made["table_id"]] for source in sources)


def test_every_service_runs_with_its_own_account_and_probes(resources):
    made = of(resources, "google_cloud_run_v2_service")
    assert {s["name"] for s in made} == {s.id for s in TOPOLOGY.services.values()}
    for service in made:
        template, container = service["template"][0], service["template"][0]["containers"][0]
        variables = {v["name"]: v["value"] for v in container["env"]}
        assert template["service_account"] == f"{service['name']}@my-project.iam.gserviceaccount.com"
        # The probe's request comes beside those that Cloud Run counts.
        assert int(variables["THREADS"]) == template["max_instance_request_concurrency"] + 8
        for probe in ("startup_probe", "liveness_probe"):
            assert container[probe][0]["http_get"][0]["path"] == "/health"


def test_only_pubsub_reaches_the_writer(resources):
    ingress = {s["name"]: s["ingress"] for s in of(resources, "google_cloud_run_v2_service")}
    writer = TOPOLOGY.services["writer"].id
    assert ingress[writer] == "INGRESS_TRAFFIC_INTERNAL_ONLY"


def test_schedules_call_their_services_with_a_token_for_them(resources):
    wanted = {s.id: s for s in TOPOLOGY.schedules_of("sql")}
    made = {j["name"]: j for j in of(resources, "google_cloud_scheduler_job")}
    assert set(made) == set(wanted)
    for name, job in made.items():
        schedule, (target,) = wanted[name], job["http_target"]
        url = resources[f'google_cloud_run_v2_service.this["{schedule.service}"]']["uri"]
        assert (target["uri"], target["http_method"]) == (url + schedule.path, schedule.method)
        assert target["oidc_token"][0]["audience"] == url
        assert json.loads(b64decode(target["body"])) == (schedule.body or {})
        assert job["attempt_deadline"] == f"{schedule.timeout_s:g}s"
        assert job["paused"] is True


def test_schedules_are_written_as_cloud_scheduler_takes_them(resources):
    made = {j["name"]: (j["schedule"], j["time_zone"]) for j in of(resources, "google_cloud_scheduler_job")}
    assert made == {
        "pmp-station-status-every-minute": ("*/1 * * * *", "Etc/UTC"),
        "pmp-station-information-daily": ("10 3 * * *", "Europe/Paris"),
        "pmp-reconcile": ("every 360 minutes", "Etc/UTC"),
        "pmp-features-every-30-minutes": ("*/30 * * * *", "Etc/UTC"),
    }


def test_bigquery_computes_features(resources):
    assert executor(resources) == ("sql", "900")


def executor(resources):
    """Where the launcher runs features, and after how many seconds it ends a run."""
    launcher = resources['google_cloud_run_v2_service.this["launcher"]']["template"][0]["containers"][0]
    variables = {v["name"]: v["value"] for v in launcher["env"]}
    return variables["LAUNCHER_EXECUTOR"], variables["LAUNCHER_DEADLINE_S"]


def test_the_feature_job_submits_to_dataflow_as_the_workers_account(resources):
    job = resources['google_cloud_run_v2_job.pipeline["station_features"]']
    task = job["template"][0]["template"][0]
    assert job["name"] == "update-station-features-launcher"
    assert task["service_account"] == "pmp-dataflow-submitter@my-project.iam.gserviceaccount.com"
    (container,) = task["containers"]
    variables = {v["name"]: v["value"] for v in container["env"]}
    assert container["args"][:2] == ["station_features", "--runner=DataflowRunner"]
    assert variables["SA"] == "pmp-dataflow-worker@my-project.iam.gserviceaccount.com"
    assert variables["BEAM_IMAGE"] == container["image"]
    assert variables["BUCKET"] == "gs://pmp-dataflow-my-project"


def test_the_jobs_arguments_make_a_dataflow_job(resources):
    for key in ("curate_status", "station_features"):
        job = resources[f'google_cloud_run_v2_job.pipeline["{key}"]']
        (container,) = job["template"][0]["template"][0]["containers"]
        settings = Settings.from_env({v["name"]: v["value"] for v in container["env"]})
        parser_args = [a for a in container["args"][1:] if not a.startswith("--runner=")]
        options = dataflow_options(settings, parser_args, job_name="j", streaming=True).get_all_options()
        assert options["service_account_email"] == settings.service_account
        assert options["staging_location"].startswith("gs://pmp-dataflow-my-project/dataflow/")
        assert options["max_num_workers"] == 1
        assert options["machine_type"] == "n2d-standard-2"


def test_debug_output_is_deleted_and_what_running_jobs_need_is_kept(resources):
    rules = {
        rule["condition"][0]["matches_prefix"][0]: rule["condition"][0]["age"]
        for rule in resources["google_storage_bucket.dataflow"]["lifecycle_rule"]
    }
    assert rules == {"feature-debug/": 14, "dataflow/temp/": 7, "dataflow/features/": 7}
    streaming = resources['google_cloud_run_v2_job.pipeline["curate_status"]']["template"][0]["template"][0]
    (staging,) = [a for a in streaming["containers"][0]["args"] if a.startswith("--staging_location=")]
    kept = staging.split("/", 3)[3] + "/"
    assert not any(kept.startswith(prefix) for prefix in rules)


def test_the_writer_may_append_to_exactly_the_tables_that_it_writes(resources):
    made = [
        m["table_id"]
        for m in of(resources, "google_bigquery_table_iam_member")
        if m["member"].startswith(f"serviceAccount:{TOPOLOGY.services['writer'].id}@")
    ]
    assert sorted(made) == sorted(WRITTEN)
