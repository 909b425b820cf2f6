-- Materialized. One row per system and feed time whose snapshot was accepted, however often it was curated. All
-- curations of one snapshot count the same; only aggregates and columns of the base table, as BigQuery demands.
SELECT
  system_id,
  feed_ts,
  MIN(event_id) AS event_id,
  MIN(ingest_ts) AS ingest_ts,
  MAX(stations) AS stations,
  MAX(changed) AS changed,
  MAX(bikes) AS bikes,
  MAX(docks) AS docks,
  MAX(empty_stations) AS empty_stations,
  MAX(full_stations) AS full_stations,
  MAX(closed_stations) AS closed_stations,
  MAX(rejected_rows) AS rejected_rows,
  COUNT(*) AS curations
FROM `{project}.pmp_curated.feed_polls`
WHERE verdict = 'ok'
GROUP BY system_id, feed_ts
