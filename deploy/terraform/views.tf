# BigQuery checks a view's sources when it is made, so a view over views waits for them. A resource cannot wait for
# itself: views are made in ranks, by what their texts name. Materialized views read tables only.
locals {
  view_sql = merge([
    for dataset, content in local.topology.datasets : {
      for view in content.views : view => {
        dataset = dataset
        text    = file("${local.schema_dir}/views/${view}.sql")
      }
    }
  ]...)
  views = {
    for name, view in local.view_sql : name => merge(view, {
      query = replace(view.text, "{project}", var.project_id)
      sources = [
        for source in regexall("`\\{project\\}\\.\\w+\\.(\\w+)`", view.text) : source[0]
        if contains(keys(local.view_sql), source[0])
      ]
    })
  }

  # Name -> column of the partition, or null, and clustering columns.
  layouts = merge([for content in local.topology.datasets : try(content.materialized, {})]...)

  materialized_names = keys(local.layouts)
  materialized       = { for name, layout in local.layouts : name => merge(local.views[name], layout) }
  plain              = { for name, view in local.views : name => view if !contains(local.materialized_names, name) }

  rank_1 = { for name, view in local.plain : name => view if length(setsubtract(view.sources, local.materialized_names)) == 0 }
  rank_2 = {
    for name, view in local.plain : name => view
    if !contains(keys(local.rank_1), name) &&
    length(setsubtract(view.sources, concat(keys(local.rank_1), local.materialized_names))) == 0
  }
  rank_3 = {
    for name, view in local.plain : name => view if !contains(concat(keys(local.rank_1), keys(local.rank_2)), name)
  }
}

resource "google_bigquery_table" "materialized" {
  #checkov:skip=CKV_GCP_80:public feeds and counts of bikes; Google's own keys are enough
  #checkov:skip=CKV_GCP_121:a view holds no data of its own
  for_each = local.materialized

  dataset_id          = google_bigquery_dataset.this[each.value.dataset].dataset_id
  table_id            = each.key
  clustering          = each.value.cluster
  deletion_protection = false

  materialized_view {
    query          = each.value.query
    enable_refresh = true
  }

  time_partitioning {
    type  = "DAY"
    field = each.value.partition
  }

  depends_on = [google_bigquery_table.this]
}

resource "google_bigquery_table" "view" {
  #checkov:skip=CKV_GCP_80:public feeds and counts of bikes; Google's own keys are enough
  #checkov:skip=CKV_GCP_121:a view holds no data of its own
  for_each = local.rank_1

  dataset_id          = google_bigquery_dataset.this[each.value.dataset].dataset_id
  table_id            = each.key
  deletion_protection = false

  view {
    query          = each.value.query
    use_legacy_sql = false
  }

  depends_on = [google_bigquery_table.this, google_bigquery_table.materialized]
}

resource "google_bigquery_table" "view_of_views" {
  #checkov:skip=CKV_GCP_80:public feeds and counts of bikes; Google's own keys are enough
  #checkov:skip=CKV_GCP_121:a view holds no data of its own
  for_each = local.rank_2

  dataset_id          = google_bigquery_dataset.this[each.value.dataset].dataset_id
  table_id            = each.key
  deletion_protection = false

  view {
    query          = each.value.query
    use_legacy_sql = false
  }

  depends_on = [google_bigquery_table.view]
}

resource "google_bigquery_table" "view_of_views_of_views" {
  #checkov:skip=CKV_GCP_80:public feeds and counts of bikes; Google's own keys are enough
  #checkov:skip=CKV_GCP_121:a view holds no data of its own
  for_each = local.rank_3

  dataset_id          = google_bigquery_dataset.this[each.value.dataset].dataset_id
  table_id            = each.key
  deletion_protection = false

  view {
    query          = each.value.query
    use_legacy_sql = false
  }

  lifecycle {
    precondition {
      condition = length(setsubtract(
        each.value.sources, concat(keys(local.rank_1), keys(local.rank_2), local.materialized_names)
      )) == 0
      error_message = "${each.key} reads a view of the third rank: add a rank."
    }
  }

  depends_on = [google_bigquery_table.view_of_views]
}
