# Dataflow has no permissions below the project.
resource "google_project_iam_member" "submitter" {
  #checkov:skip=CKV_GCP_49:there is no smaller scope, and the accounts that its jobs may run as are granted one by one
  project = var.project_id
  role    = "roles/dataflow.developer"
  member  = local.members.submitter
}

# Whoever makes a job has Google look machine types, zones and regions up; roles/compute.viewer would show all machines.
resource "google_project_iam_custom_role" "machine_types" {
  role_id     = "pmpMachineTypes"
  title       = "Mobility Pulse: look machine types up"
  description = "What Dataflow asks for when it makes a job"
  permissions = [
    "compute.machineTypes.get", "compute.machineTypes.list", "compute.projects.get", "compute.regions.list",
    "compute.zones.list",
  ]

  depends_on = [google_project_service.api]
}

resource "google_project_iam_member" "machine_types" {
  project = var.project_id
  role    = google_project_iam_custom_role.machine_types.id
  member  = local.members.submitter
}

resource "google_project_iam_member" "worker" {
  project = var.project_id
  role    = "roles/dataflow.worker"
  member  = local.members.worker
}

resource "google_storage_bucket_iam_member" "dataflow" {
  for_each = toset(["submitter", "worker"])

  bucket = google_storage_bucket.dataflow.name
  role   = "roles/storage.objectAdmin"
  member = local.members[each.value]
}

# Dataflow reads the bucket's own properties before it stages.
resource "google_storage_bucket_iam_member" "lookup" {
  for_each = toset(["submitter", "worker"])

  bucket = google_storage_bucket.dataflow.name
  role   = "roles/storage.legacyBucketReader"
  member = local.members[each.value]
}

resource "google_artifact_registry_repository_iam_member" "worker" {
  repository = google_artifact_registry_repository.images.name
  location   = var.region
  role       = "roles/artifactregistry.reader"
  member     = local.members.worker
}
