"""Runs in BigQuery and as executions of a Cloud Run job, each attempt claimed by a BigQuery job."""
