output "registry" {
  description = "Where images are pushed"
  value       = local.registry
}

output "service_urls" {
  description = "URL of each service, by its key in the topology"
  value       = { for key, service in google_cloud_run_v2_service.this : key => service.uri }
}

output "environment" {
  description = "Variables for pmpctl --target cloud"
  value = merge(
    {
      PROJECT_ID           = var.project_id
      REGION               = var.region
      BUCKET               = local.gs
      PUSH_SERVICE_ACCOUNT = google_service_account.this["push"].email
      SA                   = google_service_account.this["worker"].email
    },
    { for key, service in google_cloud_run_v2_service.this : "${upper(key)}_URL" => service.uri },
  )
}

output "pipelines" {
  description = "Cloud Run job of each pipeline and its arguments; a streaming job is updated in place by running it with --update added"
  value       = { for key, job in google_cloud_run_v2_job.pipeline : key => { job = job.name, args = local.pipeline_args[key] } }
}

output "service_accounts" {
  description = "E-mail of each service account"
  value       = { for key, account in google_service_account.this : key => account.email }
}
