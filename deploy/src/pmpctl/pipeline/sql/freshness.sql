-- The newest row of each table within two days. Each SELECT names its partition column, so that little is read.
SELECT 'feed_snapshots' AS table_id, MAX(ingest_ts) AS newest_ts FROM `{feed_snapshots}`
WHERE ingest_ts >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 2 DAY)
UNION ALL
SELECT 'raw_events', MAX(ingest_ts) FROM `{raw_events}`
WHERE event_date >= DATE_SUB(CURRENT_DATE(), INTERVAL 2 DAY)
UNION ALL
SELECT 'station_status', MAX(ingest_ts) FROM `{station_status}`
WHERE feed_ts >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 2 DAY)
UNION ALL
SELECT 'feed_polls', MAX(ingest_ts) FROM `{feed_polls}`
WHERE feed_ts >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 2 DAY)
UNION ALL
SELECT 'station_information', MAX(ingest_ts) FROM `{station_information}`
WHERE ingest_ts >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 2 DAY)
UNION ALL
SELECT 'station_features', MAX(as_of) FROM `{station_features}`
WHERE event_date >= DATE_SUB(CURRENT_DATE(), INTERVAL 2 DAY)
UNION ALL
SELECT 'dead_letters', MAX(dead_lettered_ts) FROM `{dead_letters}`
WHERE dead_lettered_ts >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 2 DAY)
UNION ALL
SELECT 'events', MAX(time) FROM `{events}`
WHERE time >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 2 DAY)
