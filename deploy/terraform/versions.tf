terraform {
  required_version = ">= 1.9"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }
}

provider "google" {
  project = var.project_id
  region  = var.region

  # Budgets are billed and counted against this project, not against the one that the user's credentials came from.
  billing_project       = var.project_id
  user_project_override = true

  default_labels = {
    app         = "pmp"
    environment = var.environment
  }
}
