locals {
  minutes = { for id, s in local.schedules : id => s.every_s / 60 if try(s.every_s, null) != null }

  # A cron step that does not divide the hour fires unevenly at its turn; an interval that does keeps to the clock.
  times = {
    for id, s in local.schedules : id => (
      !contains(keys(local.minutes), id) ? format("%d %d * * *", split(":", s.daily_at)[1], split(":", s.daily_at)[0]) :
      local.minutes[id] < 60 && 60 % local.minutes[id] == 0 ? format("*/%d * * * *", local.minutes[id]) :
      local.minutes[id] == 60 ? "0 * * * *" : format("every %d minutes", local.minutes[id])
    )
  }
}

resource "google_cloud_scheduler_job" "this" {
  for_each = local.schedules

  name             = each.key
  region           = var.region
  schedule         = local.times[each.key]
  time_zone        = try(each.value.time_zone, "Etc/UTC")
  attempt_deadline = "${each.value.timeout_s}s"
  paused           = var.schedules_paused

  http_target {
    http_method = each.value.method
    uri         = "${google_cloud_run_v2_service.this[each.value.service].uri}${each.value.path}"
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode(jsonencode(try(each.value.body, {})))
    oidc_token {
      service_account_email = google_service_account.this["scheduler"].email
      audience              = google_cloud_run_v2_service.this[each.value.service].uri
    }
  }

  retry_config {
    retry_count          = 1
    min_backoff_duration = "5s"
  }

  lifecycle {
    ignore_changes = [paused] # `pmpctl up` and `pmpctl down` resume and pause
    precondition {
      condition     = each.value.timeout_s <= local.services[each.value.service].timeout_s
      error_message = "Cloud Run would end the request before Cloud Scheduler's deadline."
    }
  }

  depends_on = [google_project_service.api]
}
