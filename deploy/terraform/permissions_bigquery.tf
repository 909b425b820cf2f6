# A table is granted by itself. A dataset is granted where views in it are read: a materialized view whose text changes is
# made anew, without the grants that it had. Views are read together with their sources, in whatever dataset.
locals {
  reads   = "roles/bigquery.dataViewer"
  changes = "roles/bigquery.dataEditor"

  # Account -> tables.
  table_grants = {
    append = {
      role = google_project_iam_custom_role.appender.id
      to = {
        writer = ["feed_snapshots", "raw_events", "station_information", "dead_letters", "events"]
        worker = concat(["station_status", "feed_polls"], var.sensor_ingestion == "push" ? [] : ["raw_events"])
      }
    }
    read = {
      role = local.reads
      to = {
        replayer  = ["feed_snapshots", "raw_events", "station_information"]
        launcher  = ["raw_events", "events"]
        submitter = ["raw_events"]
        worker = [
          "feed_snapshots", "raw_events", "station_status", "feed_polls", "station_daily_counts", "dead_letters",
        ]
        dashboard = ["station_features", "dead_letters", "events"]
      }
    }
    change = {
      role = local.changes
      to = {
        # Merged by feature runs, outside their own dataset.
        launcher  = ["station_daily_counts"]
        submitter = ["station_daily_counts"]
      }
    }
  }
  # Account -> datasets.
  dataset_grants = {
    read = {
      role = local.reads
      to = {
        replayer  = ["pmp_ops"]
        dashboard = ["pmp_raw", "pmp_curated", "pmp_marts"]
      }
    }
    change = {
      role = local.changes
      to = {
        # Feature runs make and drop staging tables, append to them, and merge.
        launcher  = ["pmp_features"]
        submitter = ["pmp_features"]
        worker    = ["pmp_features"]
      }
    }
  }

  querying = ["replayer", "launcher", "dashboard", "submitter", "worker"]
}

# roles/bigquery.dataEditor could also read, rewrite and delete.
resource "google_project_iam_custom_role" "appender" {
  role_id     = "pmpRowAppender"
  title       = "Mobility Pulse: append rows"
  description = "Appends through the Storage Write API; reads, changes and deletes nothing"
  permissions = ["bigquery.tables.get", "bigquery.tables.updateData"]

  depends_on = [google_project_service.api]
}

resource "google_bigquery_table_iam_member" "this" {
  for_each = merge(flatten([
    for verb, grant in local.table_grants : [
      for account, tables in grant.to : {
        for table in tables : "${account}/${verb}/${table}" => { role = grant.role, account = account, table = table }
      }
    ]
  ])...)

  dataset_id = google_bigquery_table.this[each.value.table].dataset_id
  table_id   = google_bigquery_table.this[each.value.table].table_id
  role       = each.value.role
  member     = local.members[each.value.account]
}

resource "google_bigquery_dataset_iam_member" "this" {
  for_each = merge(flatten([
    for verb, grant in local.dataset_grants : [
      for account, datasets in grant.to : {
        for id in datasets : "${account}/${verb}/${id}" => { role = grant.role, account = account, dataset = id }
      }
    ]
  ])...)

  dataset_id = google_bigquery_dataset.this[each.value.dataset].dataset_id
  role       = each.value.role
  member     = local.members[each.value.account]
}

# Jobs and read sessions belong to the project, not to a dataset.
resource "google_project_iam_member" "querying" {
  for_each = toset(local.querying)

  project = var.project_id
  role    = "roles/bigquery.jobUser"
  member  = local.members[each.value]
}

# Dataflow's workers read the tables of a feature run through the Storage Read API.
resource "google_project_iam_member" "read_sessions" {
  project = var.project_id
  role    = "roles/bigquery.readSessionUser"
  member  = local.members.worker
}
