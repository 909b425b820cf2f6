-- One row per station: its newest row of the last 3 days of feed time (the bound prunes partitions). Rows are written
-- on change and once an hour. newest_feed_ts is the feed time of the system's newest poll with verdict ok; is_reporting
-- means that the station has a row in the 2 hours before it, and then its counts hold from feed_ts until
-- newest_feed_ts. Ages are in seconds.
WITH
newest AS (
  SELECT system_id, MAX(feed_ts) AS newest_feed_ts
  FROM `{project}.pmp_curated.feed_polls_unique`
  WHERE feed_ts >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 3 DAY)
  GROUP BY system_id
),
stations AS (
  SELECT *
  FROM `{project}.pmp_curated.station_status`
  WHERE feed_ts >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 3 DAY)
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY system_id, station_id ORDER BY feed_ts DESC, ingest_ts, event_id
  ) = 1
)
SELECT
  stations.*,
  TIMESTAMP_DIFF(CURRENT_TIMESTAMP(), stations.feed_ts, SECOND) AS age_s,
  newest.newest_feed_ts,
  TIMESTAMP_DIFF(CURRENT_TIMESTAMP(), newest.newest_feed_ts, SECOND) AS feed_age_s,
  stations.feed_ts >= TIMESTAMP_SUB(newest.newest_feed_ts, INTERVAL 2 HOUR) AS is_reporting
FROM stations
LEFT JOIN newest ON newest.system_id = stations.system_id
