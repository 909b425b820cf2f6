locals {
  # Who calls which service: Pub/Sub the writer, Cloud Scheduler what its schedules name, people what they may.
  invokers = merge(
    { "writer/push" = ["writer", local.members.push] },
    {
      for service in toset(values(local.schedules)[*].service) :
      "${service}/scheduler" => [service, local.members.scheduler]
    },
    merge([
      for member in var.operators : {
        for service in ["collector", "replayer", "launcher", "dashboard"] : "${service}/${member}" => [service, member]
      }
    ]...),
    { for member in var.dashboard_viewers : "dashboard/viewer/${member}" => ["dashboard", member] },
  )
}

resource "google_cloud_run_v2_service_iam_member" "invoker" {
  for_each = local.invokers

  name     = google_cloud_run_v2_service.this[each.value[0]].name
  location = var.region
  role     = "roles/run.invoker"
  member   = each.value[1]
}

# The launcher names the run in the job's arguments, finds its execution by them, and ends it at the deadline.
resource "google_project_iam_custom_role" "starter" {
  role_id     = "pmpFeatureStarter"
  title       = "Mobility Pulse: start feature runs"
  description = "Runs a Cloud Run job with other arguments, lists and cancels its executions"
  permissions = [
    "run.executions.cancel", "run.executions.list", "run.jobs.get", "run.jobs.run", "run.jobs.runWithOverrides",
  ]

  depends_on = [google_project_service.api]
}

resource "google_cloud_run_v2_job_iam_member" "starter" {
  name     = google_cloud_run_v2_job.pipeline["station_features"].name
  location = var.region
  role     = google_project_iam_custom_role.starter.id
  member   = local.members.launcher
}
