-- Materialized. One row per system, city and zone that its snapshots have ever named (the attributes ce-cityid and
-- ce-timezone; null where a message has none): so small that history need not be cut off.
SELECT
  system_id,
  JSON_VALUE(attributes, '$."ce-cityid"') AS city_id,
  JSON_VALUE(attributes, '$."ce-timezone"') AS timezone,
  MAX(ingest_ts) AS last_seen_ts
FROM `{project}.pmp_raw.feed_snapshots`
GROUP BY system_id, city_id, timezone
