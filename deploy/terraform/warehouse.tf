resource "google_bigquery_dataset" "this" {
  #checkov:skip=CKV_GCP_81:public feeds and counts of bikes; Google's own keys are enough
  for_each = local.topology.datasets

  dataset_id                 = each.key
  description                = each.value.description
  location                   = var.region
  delete_contents_on_destroy = !local.protected

  depends_on = [google_project_service.api]
}

resource "google_bigquery_table" "this" {
  #checkov:skip=CKV_GCP_80:public feeds and counts of bikes; Google's own keys are enough
  #checkov:skip=CKV_GCP_121:protected where environment is prod; a test environment has to be removable
  for_each = local.tables

  dataset_id          = google_bigquery_dataset.this[each.value.dataset].dataset_id
  table_id            = each.key
  description         = each.value.description
  schema              = jsonencode(each.value.schema)
  clustering          = each.value.cluster
  deletion_protection = local.protected

  time_partitioning {
    type  = each.value.partition.type
    field = each.value.partition.field
  }
}
