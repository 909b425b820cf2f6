locals {
  # Account -> tables that it only appends to, datasets that it reads, datasets that it changes by DML.
  appenders = {
    writer = ["feed_snapshots", "raw_events", "station_information", "dead_letters", "events"]
    worker = ["station_status", "feed_polls", "raw_events"]
  }
  readers = {
    replayer  = ["pmp_raw", "pmp_curated", "pmp_ops"]
    launcher  = ["pmp_raw", "pmp_curated", "pmp_ops"]
    submitter = ["pmp_raw", "pmp_curated", "pmp_ops"]
    worker    = ["pmp_raw", "pmp_curated"]
    dashboard = keys(local.topology.datasets) # a view is read together with its sources
  }
  editors = {
    launcher  = ["pmp_features"]
    submitter = ["pmp_features"]
    worker    = ["pmp_features"]
  }
  daily_counts = "station_daily_counts" # merged by feature runs, outside their own dataset
  merging      = ["launcher", "submitter"]

  querying = ["replayer", "launcher", "dashboard", "submitter", "worker"]
}

# roles/bigquery.dataEditor could also read, rewrite and delete.
resource "google_project_iam_custom_role" "appender" {
  role_id     = "pmpRowAppender"
  title       = "Mobility Pulse: append rows"
  description = "Appends through the Storage Write API; reads, changes and deletes nothing"
  permissions = ["bigquery.tables.get", "bigquery.tables.updateData"]
}

resource "google_bigquery_table_iam_member" "appender" {
  for_each = merge([
    for account, tables in local.appenders : { for table in tables : "${account}/${table}" => [account, table] }
  ]...)

  dataset_id = google_bigquery_table.this[each.value[1]].dataset_id
  table_id   = google_bigquery_table.this[each.value[1]].table_id
  role       = google_project_iam_custom_role.appender.id
  member     = local.members[each.value[0]]
}

resource "google_bigquery_dataset_iam_member" "reader" {
  for_each = merge([
    for account, datasets in local.readers : { for id in datasets : "${account}/${id}" => [account, id] }
  ]...)

  dataset_id = google_bigquery_dataset.this[each.value[1]].dataset_id
  role       = "roles/bigquery.dataViewer"
  member     = local.members[each.value[0]]
}

# Feature runs make and drop staging tables, and merge.
resource "google_bigquery_dataset_iam_member" "editor" {
  for_each = merge([
    for account, datasets in local.editors : { for id in datasets : "${account}/${id}" => [account, id] }
  ]...)

  dataset_id = google_bigquery_dataset.this[each.value[1]].dataset_id
  role       = "roles/bigquery.dataEditor"
  member     = local.members[each.value[0]]
}

resource "google_bigquery_table_iam_member" "merging" {
  for_each = toset(local.merging)

  dataset_id = google_bigquery_table.this[local.daily_counts].dataset_id
  table_id   = google_bigquery_table.this[local.daily_counts].table_id
  role       = "roles/bigquery.dataEditor"
  member     = local.members[each.value]
}

# Jobs and read sessions belong to the project, not to a dataset.
resource "google_project_iam_member" "querying" {
  for_each = toset(local.querying)

  project = var.project_id
  role    = "roles/bigquery.jobUser"
  member  = local.members[each.value]
}

resource "google_project_iam_member" "read_sessions" {
  for_each = toset(["submitter", "worker"])

  project = var.project_id
  role    = "roles/bigquery.readSessionUser"
  member  = local.members[each.value]
}
