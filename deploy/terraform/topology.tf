# Names and schemas come from the same files that the services read.
locals {
  schema_dir = "${path.module}/../../shared/schema/src/pmp_schema"
  topology   = jsondecode(file("${local.schema_dir}/topology.json"))
  policy     = local.topology.push_policy

  topics        = local.topology.topics
  subscriptions = { for s in local.topology.subscriptions : s.id => s }
  # Schedules of the two feature engines are alternatives.
  schedules = {
    for s in local.topology.schedules : s.id => s if try(s.body.engine, var.feature_engine) == var.feature_engine
  }

  tables = merge([
    for dataset, content in local.topology.datasets : {
      for table in content.tables : table => merge(
        jsondecode(file("${local.schema_dir}/tables/${table}.json")), { dataset = dataset }
      )
    }
  ]...)

  # Production keeps what holds data until the protection is taken off on purpose.
  protected = var.environment == "prod"
}
