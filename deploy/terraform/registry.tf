resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84:the images hold public code only; Google's own keys are enough
  repository_id = var.repository
  location      = var.region
  format        = "DOCKER"
  description   = "Images of the services and of the pipelines"

  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"
    most_recent_versions {
      keep_count = 10
    }
  }
  # A worker of a running Dataflow job pulls the image that the job was started with, however many came after it.
  cleanup_policies {
    id     = "keep-pipelines"
    action = "KEEP"
    most_recent_versions {
      package_name_prefixes = ["pmp-beam"]
      keep_count            = 100
    }
  }
  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      older_than = "2592000s" # 30 days
    }
  }

  depends_on = [google_project_service.api]
}

locals {
  registry = "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.images.repository_id}"
}
