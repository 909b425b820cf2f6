resource "google_project_service" "api" {
  for_each = toset([
    "artifactregistry", "bigquery", "bigquerystorage", "billingbudgets", "cloudbilling", "cloudbuild",
    "cloudresourcemanager", "cloudscheduler", "compute", "dataflow", "iam", "iamcredentials", "logging", "monitoring",
    "pubsub", "run", "secretmanager", "serviceusage", "storage",
  ])
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false # another user of the project may need it
}

# It waits for no API: what it tells would be unknown, and all that names it made anew, whenever an API is added.
data "google_project" "this" {}
