# One account for each service, and one for each caller or job that is not a service.
locals {
  accounts = merge(
    { for key, service in local.topology.services : key => service.id },
    {
      push      = "pmp-push"
      scheduler = "pmp-scheduler"
      submitter = "pmp-dataflow-submitter"
      worker    = "pmp-dataflow-worker"
    },
  )
  members = { for key, account in google_service_account.this : key => account.member }
}

resource "google_service_account" "this" {
  for_each = local.accounts

  account_id   = each.value
  display_name = "Mobility Pulse: ${each.key}"

  depends_on = [google_project_service.api]
}

# Pub/Sub signs push requests as this account.
resource "google_service_account_iam_member" "agent_signs_pushes" {
  service_account_id = google_service_account.this["push"].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.pubsub_agent
}

# Who submits a Dataflow job hands it the workers' account.
resource "google_service_account_iam_member" "submitter_uses_worker" {
  service_account_id = google_service_account.this["worker"].name
  role               = "roles/iam.serviceAccountUser"
  member             = local.members.submitter
}
