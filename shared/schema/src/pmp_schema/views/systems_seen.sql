-- Materialized. One row per day, system, city and time zone of its snapshots (the attributes ce-cityid and ce-timezone;
-- null where absent). It is small enough to keep all of history. It is partitioned by day, so that an expired partition
-- of the base table invalidates one partition and not the whole view.
SELECT
  TIMESTAMP_TRUNC(ingest_ts, DAY) AS seen_day,
  system_id,
  JSON_VALUE(attributes, '$."ce-cityid"') AS city_id,
  JSON_VALUE(attributes, '$."ce-timezone"') AS timezone,
  MAX(ingest_ts) AS last_seen_ts
FROM `{project}.pmp_raw.feed_snapshots`
GROUP BY seen_day, system_id, city_id, timezone
