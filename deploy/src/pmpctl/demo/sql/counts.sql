-- Rows of each table, and the milliseconds since the newest of them came.
WITH newest AS (
  SELECT 'feed_snapshots' AS table_id, COUNT(*) AS row_count, MAX(ingest_ts) AS newest_ts FROM `{feed_snapshots}`
  UNION ALL
  SELECT 'station_information', COUNT(*), MAX(ingest_ts) FROM `{station_information}`
  UNION ALL
  SELECT 'raw_events', COUNT(*), MAX(ingest_ts) FROM `{raw_events}`
  UNION ALL
  SELECT 'station_status', COUNT(*), MAX(ingest_ts) FROM `{station_status}`
  UNION ALL
  SELECT 'feed_polls', COUNT(*), MAX(ingest_ts) FROM `{feed_polls}`
  UNION ALL
  SELECT 'station_features', COUNT(*), MAX(as_of) FROM `{station_features}`
  UNION ALL
  SELECT 'events', COUNT(*), MAX(publish_ts) FROM `{events}`
  UNION ALL
  SELECT 'dead_letters', COUNT(*), MAX(dead_lettered_ts) FROM `{dead_letters}`
)

SELECT table_id, row_count, TIMESTAMP_DIFF(CURRENT_TIMESTAMP(), newest_ts, MILLISECOND) AS age_ms
FROM newest
