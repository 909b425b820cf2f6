# Staging and temporary files of Dataflow, and the debug output of feature runs that are asked for it.
resource "google_storage_bucket" "dataflow" {
  #checkov:skip=CKV_GCP_62:only the pipelines' own accounts use it; an access log would cost more than its content
  #checkov:skip=CKV_GCP_78:everything in it can be made again; versions would only be billed
  name     = local.bucket_name
  location = var.region

  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # nothing in it is the only copy

  dynamic "lifecycle_rule" {
    for_each = local.deleted_after_days
    content {
      action {
        type = "Delete"
      }
      condition {
        age            = lifecycle_rule.value
        matches_prefix = [lifecycle_rule.key]
      }
    }
  }

  soft_delete_policy {
    retention_duration_seconds = 0
  }

  depends_on = [google_project_service.api]
}

locals {
  bucket_name = coalesce(var.bucket, "pmp-dataflow-${var.project_id}")

  # What a streaming job has staged is read again whenever a worker starts: it has no rule.
  temp_prefix = "dataflow/temp"
  staging_prefix = {
    curate_status    = "dataflow/staging"
    ingest_events    = "dataflow/staging"
    station_features = "dataflow/features"
  }
  deleted_after_days = {
    "feature-debug/"                               = var.debug_output_days
    "${local.temp_prefix}/"                        = 7
    "${local.staging_prefix["station_features"]}/" = 7
  }
}
