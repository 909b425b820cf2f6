"""Rows into tables by the Storage Write API's default stream (extra `bigquery`)."""
