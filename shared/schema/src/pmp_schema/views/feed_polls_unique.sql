-- Materialized. One row per system and feed time of an accepted snapshot, even if it was curated more than once: all
-- its poll rows have the same counts. BigQuery allows only aggregates and columns of the base table here.
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
