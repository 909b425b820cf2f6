-- Materialized. One row per day, system, city and zone that its snapshots have named (the attributes ce-cityid and
-- ce-timezone; null where a message has none): so small that history need not be cut off. By day because an expired
-- partition of the base table then takes one partition of this with it, not all that is stored.
SELECT
  TIMESTAMP_TRUNC(ingest_ts, DAY) AS seen_day,
  system_id,
  JSON_VALUE(attributes, '$."ce-cityid"') AS city_id,
  JSON_VALUE(attributes, '$."ce-timezone"') AS timezone,
  MAX(ingest_ts) AS last_seen_ts
FROM `{project}.pmp_raw.feed_snapshots`
GROUP BY seen_day, system_id, city_id, timezone
