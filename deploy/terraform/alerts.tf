locals {
  channels = values(google_monitoring_notification_channel.email)[*].id

  dead_letter_push = one([
    for s in local.topology.subscriptions : s.id if s.topic == "dead-letters" && s.kind == "push"
  ])
  working      = [for id, s in local.wanted : id if id != local.hold && s.mode != "debug"]
  dataflow_job = "(${join("|", values(local.topology.jobs))}).*"

  # How long a push is tried: a wait before each attempt but the first, doubled until it is the longest.
  attempts_last_h = floor(sum([
    for n in range(local.policy.max_delivery_attempts - 1) :
    min(local.policy.min_backoff_s * pow(2, min(n, 30)), local.policy.max_backoff_s)
  ]) / 3600 + 0.5)

  poll_schedule = one([for id, s in local.schedules : id if s.path == "/collect/station_status"])
  polls_over_s  = 900
  half_of_polls = local.polls_over_s / local.schedules[local.poll_schedule].every_s / 2

  # Thresholds over a metric of one resource. `over` in the metric's own unit, `for_s` and `window_s` in seconds.
  threshold_alerts = {
    backlog = {
      title    = "A subscription falls behind"
      filter   = "resource.type = \"pubsub_subscription\" AND metric.type = \"pubsub.googleapis.com/subscription/oldest_unacked_message_age\" AND resource.labels.subscription_id = monitoring.regex.full_match(\"${join("|", local.working)}\")"
      aligner  = "ALIGN_MAX"
      over     = 600
      window_s = 60
      for_s    = 300
      text     = "The oldest message of a subscription has waited for more than 10 minutes. A push subscription: see the writer's log for `503` and BigQuery's state. A `dataflow` one: see whether its job runs (`pmpctl status --target cloud`). A push is tried ${local.policy.max_delivery_attempts} times, for about ${local.attempts_last_h} hours: then the message becomes a dead letter, held for 7 more days. A pull subscription keeps a message for 7 days."
    }
    dead_letters = {
      title    = "Messages became dead letters"
      filter   = "resource.type = \"pubsub_subscription\" AND metric.type = \"pubsub.googleapis.com/subscription/push_request_count\" AND resource.labels.subscription_id = \"${local.dead_letter_push}\""
      aligner  = "ALIGN_DELTA"
      over     = 0
      window_s = 300
      for_s    = 0
      text     = "At least one message could not be used. `pmpctl dead-letters --target cloud` shows reasons; docs/5-reliability-and-replay.md says what each means and how to repair and replay it. They are held for 7 days."
    }
    hold_expires = {
      title    = "Held dead letters near their end"
      filter   = "resource.type = \"pubsub_subscription\" AND metric.type = \"pubsub.googleapis.com/subscription/oldest_unacked_message_age\" AND resource.labels.subscription_id = \"${local.hold}\""
      aligner  = "ALIGN_MAX"
      over     = 5 * 86400
      window_s = 300
      for_s    = 0
      text     = "A held dead letter is 5 days old; Pub/Sub deletes it after 7. Replay it (`pmpctl replay`) or let it go: the table `pmp_ops.dead_letters` keeps it, and `--from table` can replay it later unless its row is without its data."
    }
    dataflow_lag = {
      title    = "A Dataflow job lags"
      filter   = "resource.type = \"dataflow_job\" AND metric.type = \"dataflow.googleapis.com/job/system_lag\" AND resource.labels.job_name = monitoring.regex.full_match(\"${local.dataflow_job}\")"
      aligner  = "ALIGN_MAX"
      over     = 300
      window_s = 60
      for_s    = 300
      text     = "An element has been in a streaming job for more than 5 minutes. See the job's log for a step that repeats, and its CPU; raise `dataflow.max_workers` if it is busy."
    }
  }

  failed_calls = "logging_googleapis_com:user_${google_logging_metric.schedule_failed.name}{monitored_resource=\"cloud_scheduler_job\""
  run_requests = "run_googleapis_com:request_count{monitored_resource=\"cloud_run_revision\""
  query_alerts = {
    freshness = {
      title = "No feed publishes"
      # Silent while the schedules are paused: then the collector gets no requests, or a few by hand.
      query = join(" ", [
        "sum(increase(${local.run_requests},service_name=\"${local.services["collector"].id}\"}[${local.polls_over_s}s])) > ${local.half_of_polls} unless",
        "sum(increase(pubsub_googleapis_com:topic_send_request_count{monitored_resource=\"pubsub_topic\",topic_id=\"${local.topics["snapshots"].id}\",response_class=\"success\"}[${local.polls_over_s}s])) > 0",
      ])
      for_s = 300
      text  = "The collector is called but has published no snapshot of any system for 15 minutes: the feeds do not answer or do not change. The collector's log shows `poll.failed` with its cause; `pmp_marts.pipeline_health` shows how old each system is."
    }
    polls = {
      title = "A system's polls fail"
      query = join(" ", [
        "sum by (system) (increase(logging_googleapis_com:user_${google_logging_metric.poll_failed.name}{monitored_resource=\"cloud_run_revision\"}[${local.polls_over_s}s]))",
        "> ${local.half_of_polls}",
      ])
      for_s = 60
      text  = "More than half of the status polls that fit into 15 minutes have failed for the system that the incident names: its feed does not answer, or not with a feed. The collector's log shows `poll.failed` with its cause. It is counted from the collector's log, so with `log_level` ERROR it never fires. It does not see a feed that answers and never changes, nor one whose server has asked not to be polled for a while (`Retry-After`): `pmp_marts.pipeline_health` shows how old each system is."
    }
    schedules = {
      title = "A schedule's calls fail"
      # Cloud Run counts no request that reaches no instance, so the other alerts do not see a service that cannot start
      # or may not be called. A call is tried twice: all attempts of one call, or half of those of the polls of a while.
      query = join(" ", [
        "sum by (job_id) (increase(${local.failed_calls},job_id=\"${local.poll_schedule}\"}[${local.polls_over_s}s])) > ${2 * local.half_of_polls}",
        "or sum by (job_id) (increase(${local.failed_calls},job_id!=\"${local.poll_schedule}\"}[1h])) > 1",
      ])
      for_s = 60
      text  = "Two attempts of a schedule have failed within an hour (of the polls: more than half within 15 minutes): the service answers with an error, has no instance that starts, or may not be called. `gcloud logging read 'resource.type=cloud_scheduler_job AND severity>=ERROR'` has the answer; then read the log of the service."
    }
    errors = {
      title = "A service fails"
      query = join(" ", [
        "sum by (service_name) (rate(${local.run_requests},response_code_class=\"5xx\"}[10m]))",
        "/ sum by (service_name) (rate(${local.run_requests}}[10m])) > 0.05",
      ])
      for_s = 300
      text  = "More than 5 % of a service's requests were answered 5xx for 5 minutes. 503 of the writer: BigQuery or Pub/Sub refuse, Pub/Sub delivers again. 500: a bug, with its stack trace in the log."
    }
  }
}

resource "google_logging_metric" "poll_failed" {
  name        = "pmp_poll_failed"
  description = "Status polls that failed, by system"
  filter = join(" AND ", [
    "resource.type=\"cloud_run_revision\"",
    "resource.labels.service_name=\"${local.services["collector"].id}\"",
    "jsonPayload.message=\"poll.failed\"",
    "jsonPayload.feed=\"station_status\"",
  ])
  label_extractors = { system = "EXTRACT(jsonPayload.system)" }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    labels {
      key = "system"
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_logging_metric" "schedule_failed" {
  name        = "pmp_schedule_failed"
  description = "Attempts of schedules that failed, by schedule"
  filter = join(" AND ", [
    "resource.type=\"cloud_scheduler_job\"",
    "resource.labels.job_id=(${join(" OR ", [for id in keys(local.schedules) : "\"${id}\""])})",
    "severity>=ERROR",
  ])

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }

  depends_on = [google_project_service.api]
}

resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.alert_emails)

  type         = "email"
  display_name = "Mobility Pulse: ${each.value}"
  labels       = { email_address = each.value }

  depends_on = [google_project_service.api]
}

resource "google_monitoring_alert_policy" "threshold" {
  for_each = local.threshold_alerts

  display_name          = "Mobility Pulse: ${each.value.title}"
  combiner              = "OR"
  notification_channels = local.channels

  conditions {
    display_name = each.value.title
    condition_threshold {
      filter          = each.value.filter
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.over
      duration        = "${each.value.for_s}s"
      aggregations {
        alignment_period   = "${each.value.window_s}s"
        per_series_aligner = each.value.aligner
      }
    }
  }

  # The next trouble is told again: without it, an incident whose metric falls silent stays open for 7 days.
  alert_strategy {
    auto_close = "1800s"
  }

  documentation {
    mime_type = "text/markdown"
    content   = each.value.text
  }

  depends_on = [google_project_service.api]
}

resource "google_monitoring_alert_policy" "query" {
  for_each = local.query_alerts

  display_name          = "Mobility Pulse: ${each.value.title}"
  combiner              = "OR"
  notification_channels = local.channels

  conditions {
    display_name = each.value.title
    condition_prometheus_query_language {
      query               = each.value.query
      duration            = "${each.value.for_s}s"
      evaluation_interval = "60s"

      # A metric of the log is known some minutes after it was made.
      disable_metric_validation = true
    }
  }

  # The next trouble is told again: without it, an incident whose metric falls silent stays open for 7 days.
  alert_strategy {
    auto_close = "1800s"
  }

  documentation {
    mime_type = "text/markdown"
    content   = each.value.text
  }

  depends_on = [google_project_service.api]
}
