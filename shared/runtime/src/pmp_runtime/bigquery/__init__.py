"""BigQuery: queries (extra `query`) and, in `append`, the Storage Write API (extra `bigquery`)."""
