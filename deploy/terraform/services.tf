locals {
  # Request-based CPU: an idle service costs nothing. The writer answers only after its append, so it needs no CPU
  # between requests.
  sizes = {
    collector = { cpu = "1", memory = "512Mi", concurrency = 16, min = 0, max = 2, timeout_s = 300 }
    writer    = { cpu = "1", memory = "2Gi", concurrency = 80, min = 0, max = 10, timeout_s = local.policy.ack_deadline_s }
    replayer  = { cpu = "1", memory = "1Gi", concurrency = 8, min = 0, max = 2, timeout_s = 3600 }
    launcher  = { cpu = "1", memory = "512Mi", concurrency = 16, min = 0, max = 2, timeout_s = 1800 }
    dashboard = { cpu = "1", memory = "512Mi", concurrency = 40, min = 0, max = 2, timeout_s = 60 }
  }
  services = {
    for key, service in local.topology.services : key => merge(
      local.sizes[key],
      { for name, value in try(var.sizes[key], {}) : name => value if value != null },
      { id = service.id },
    )
  }

  common_variables = { PROJECT_ID = var.project_id, REGION = var.region, LOG_LEVEL = var.log_level }
  variables = {
    collector = var.feeds_file == null ? {} : { FEEDS_FILE = "${local.feeds_dir}/${local.feeds_name}" }
    writer = {
      PUSH_AUTH            = "iam"
      PUSH_AUDIENCE        = local.topology.push_audience
      PUSH_SERVICE_ACCOUNT = google_service_account.this["push"].email
    }
    replayer  = {}
    launcher  = local.launcher_variables
    dashboard = {}
  }
}

resource "google_cloud_run_v2_service" "this" {
  for_each = local.services

  name                = each.value.id
  location            = var.region
  ingress             = each.key == "writer" ? "INGRESS_TRAFFIC_INTERNAL_ONLY" : "INGRESS_TRAFFIC_ALL"
  custom_audiences    = each.key == "writer" ? [local.topology.push_audience] : null
  deletion_protection = false # a service holds no data

  template {
    service_account                  = google_service_account.this[each.key].email
    timeout                          = "${each.value.timeout_s}s"
    max_instance_request_concurrency = each.value.concurrency

    scaling {
      min_instance_count = each.value.min
      max_instance_count = each.value.max
    }

    containers {
      image = "${local.registry}/${each.value.id}:${var.image_tag}"

      resources {
        limits            = { cpu = each.value.cpu, memory = each.value.memory }
        cpu_idle          = true
        startup_cpu_boost = true
      }

      dynamic "env" {
        # Eight threads more than Cloud Run sends requests: for the probe, and for the answers of a full writer.
        for_each = merge(local.common_variables, { THREADS = tostring(each.value.concurrency + 8) }, local.variables[each.key])
        content {
          name  = env.key
          value = env.value
        }
      }

      # /health asks no dependency: one that is away must not restart the service that waits for it.
      startup_probe {
        period_seconds    = 2
        timeout_seconds   = 2
        failure_threshold = 30
        http_get {
          path = "/health"
        }
      }
      liveness_probe {
        period_seconds    = 30
        timeout_seconds   = 5
        failure_threshold = 3
        http_get {
          path = "/health"
        }
      }

      dynamic "volume_mounts" {
        for_each = each.key == "collector" ? google_secret_manager_secret_version.feeds : []
        content {
          name       = "feeds"
          mount_path = local.feeds_dir
        }
      }
    }

    dynamic "volumes" {
      for_each = each.key == "collector" ? google_secret_manager_secret_version.feeds : []
      content {
        name = "feeds"
        secret {
          secret = volumes.value.secret
          items {
            path    = local.feeds_name
            version = volumes.value.version
          }
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [scaling] # Google fills it in; instances are set in the template
  }

  depends_on = [google_project_service.api, google_secret_manager_secret_iam_member.feeds]
}
