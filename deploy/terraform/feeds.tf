# A feeds file may name keys in its URLs: it is a secret, mounted into the collector. Without one, Vélib is polled.
locals {
  feeds_dir  = "/etc/pmp"
  feeds_name = "feeds.toml"
}

resource "google_secret_manager_secret" "feeds" {
  count = var.feeds_file == null ? 0 : 1

  secret_id = "pmp-feeds"
  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_secret_manager_secret_version" "feeds" {
  count = var.feeds_file == null ? 0 : 1

  secret      = google_secret_manager_secret.feeds[0].id
  secret_data = file(var.feeds_file)

  lifecycle {
    create_before_destroy = true # the running revision mounts the version that goes
  }
}

resource "google_secret_manager_secret_iam_member" "feeds" {
  count = var.feeds_file == null ? 0 : 1

  secret_id = google_secret_manager_secret.feeds[0].id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.members.collector
}
