locals {
  # The switch of a topic to high volume, in its safe order: push, both (until the push backlog is empty), pull.
  switched = [for s in local.topology.subscriptions : s.topic if s.mode == "high-volume"]
  wanted = {
    for id, s in local.subscriptions : id => s if anytrue([
      s.mode == "always" && !(s.kind == "push" && var.sensor_ingestion == "pull" && contains(local.switched, s.topic)),
      s.mode == "high-volume" && var.sensor_ingestion != "push",
      s.mode == "debug" && var.debug_subscriptions,
    ])
  }
  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_pubsub_topic" "this" {
  #checkov:skip=CKV_GCP_83:public feeds and counts of bikes; Google's own keys are enough
  for_each = local.topics

  name = each.value.id
  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [google_project_service.api]
}

resource "google_pubsub_subscription" "this" {
  for_each = local.wanted

  name                       = each.key
  topic                      = google_pubsub_topic.this[each.value.topic].id
  ack_deadline_seconds       = local.policy.ack_deadline_s
  message_retention_duration = "${each.value.retention_s}s"

  expiration_policy {
    ttl = "" # never: 31 idle days would delete the hold
  }

  dynamic "push_config" {
    for_each = each.value.kind == "push" ? [each.value.path] : []
    content {
      push_endpoint = "${google_cloud_run_v2_service.this["writer"].uri}${push_config.value}"
      oidc_token {
        service_account_email = google_service_account.this["push"].email
        audience              = local.topology.push_audience
      }
    }
  }

  dynamic "retry_policy" {
    for_each = each.value.kind == "push" ? [local.policy] : []
    content {
      minimum_backoff = "${retry_policy.value.min_backoff_s}s"
      maximum_backoff = "${retry_policy.value.max_backoff_s}s"
    }
  }

  dynamic "dead_letter_policy" {
    for_each = each.value.dead_letter ? [local.policy] : []
    content {
      dead_letter_topic     = google_pubsub_topic.this["dead-letters"].id
      max_delivery_attempts = dead_letter_policy.value.max_delivery_attempts
    }
  }

  lifecycle {
    precondition {
      condition     = local.policy.ack_deadline_s > local.policy.handler_budget_s
      error_message = "Pub/Sub would deliver again what a handler still works on."
    }
  }

  # A push that arrives before its tables or permissions exist is only delayed, but it counts as an attempt.
  depends_on = [
    google_bigquery_table.this,
    google_bigquery_table_iam_member.this,
    google_cloud_run_v2_service_iam_member.invoker,
    google_pubsub_topic_iam_member.agent_publishes_dead_letters,
    google_service_account_iam_member.agent_signs_pushes,
  ]
}
