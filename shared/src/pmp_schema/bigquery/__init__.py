"""The append path to BigQuery: Storage Write API, default stream, Arrow or protocol-buffer rows.

Needs the `bigquery` extra; nothing else in `pmp_schema` imports a Google client.
"""
