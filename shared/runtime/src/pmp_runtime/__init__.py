"""What running services share: configuration, logs, HTTP, Pub/Sub and BigQuery."""
