# Pipelines reach Dataflow without templates: a Cloud Run job runs the pipelines' image, which submits itself. A
# streaming job is started by running its Cloud Run job, updated in place by running it with --update, and drained
# through Dataflow; so Terraform never holds, restarts or ends what is running.
locals {
  pipelines = {
    for key, name in local.topology.jobs : key => name if key != "ingest_events" || var.sensor_ingestion != "push"
  }
  gs         = "gs://${google_storage_bucket.dataflow.name}"
  beam_image = "${local.registry}/pmp-beam:${var.image_tag}"

  # What the image does not know by itself; it takes its place, its own name and the accounts from the variables below.
  dataflow_options = concat(
    ["--machine_type=${var.dataflow.machine_type}", "--max_num_workers=${var.dataflow.max_workers}"],
    var.subnetwork == null ? [] : ["--subnetwork=${var.subnetwork}", "--no_use_public_ips"],
  )
  pipeline_args = {
    for key, _ in local.pipelines : key => concat(
      [key, "--runner=DataflowRunner"],
      ["--temp_location=${local.gs}/${local.temp_prefix}"],
      ["--staging_location=${local.gs}/${local.staging_prefix[key]}"],
      local.dataflow_options,
    )
  }
  pipeline_variables = merge(local.common_variables, {
    BUCKET     = local.gs
    BEAM_IMAGE = local.beam_image
    SA         = google_service_account.this["worker"].email
  })

  launcher_variables = {
    LAUNCHER_EXECUTOR   = var.feature_engine == "beam" ? "cloud-run-job" : "sql"
    LAUNCHER_DEADLINE_S = tostring(coalesce(var.feature_deadline_s, var.feature_engine == "beam" ? 1500 : 900))
  }
}

resource "google_cloud_run_v2_job" "pipeline" {
  for_each = local.pipelines

  name                = local.topology.launchers[each.key]
  location            = var.region
  deletion_protection = false

  template {
    task_count = 1
    template {
      service_account = google_service_account.this["submitter"].email
      max_retries     = 0 # a second submission would meet the first one's job
      timeout         = each.key == "station_features" ? "3600s" : "900s"

      containers {
        image = local.beam_image
        args  = local.pipeline_args[each.key]
        resources {
          limits = { cpu = "1", memory = "2Gi" }
        }
        dynamic "env" {
          for_each = local.pipeline_variables
          content {
            name  = env.key
            value = env.value
          }
        }
      }
    }
  }

  depends_on = [google_project_service.api, google_service_account_iam_member.submitter_uses_worker]
}
