-- totals_hourly by the local hours of each system (UTC where its time zone is unknown). `hour` is the UTC time at which
-- the local hour began. In autumn, the repeated hour is two rows; in spring, the skipped hour has no row; in zones with
-- half hours, `hour` is 30 minutes past a UTC hour. The totals are counted from the snapshots, because such hours are
-- not sums of UTC hours.
WITH
zoned AS (
  SELECT polls.*, COALESCE(systems.timezone, 'UTC') AS timezone, systems.stations_known
  FROM `{project}.pmp_curated.feed_polls_unique` AS polls
  LEFT JOIN `{project}.pmp_curated.systems` AS systems ON systems.system_id = polls.system_id
),
clocked AS (
  SELECT *, CAST(FORMAT_TIMESTAMP('%F %H:%M:00', feed_ts, timezone) AS DATETIME) AS local_minute
  FROM zoned
)
SELECT
  system_id,
  timezone,
  DATETIME_TRUNC(local_minute, HOUR) AS local_hour,
  TIMESTAMP_SUB(TIMESTAMP_TRUNC(feed_ts, MINUTE), INTERVAL EXTRACT(MINUTE FROM local_minute) MINUTE) AS hour,
  COUNT(*) AS polls,
  AVG(bikes) AS avg_bikes,
  MIN(bikes) AS min_bikes,
  MAX(bikes) AS max_bikes,
  AVG(docks) AS avg_docks,
  MIN(docks) AS min_docks,
  MAX(docks) AS max_docks,
  AVG(empty_stations) AS avg_empty_stations,
  AVG(full_stations) AS avg_full_stations,
  AVG(closed_stations) AS avg_closed_stations,
  AVG(stations) AS avg_stations,
  SUM(changed) AS changes,
  MAX(stations_known) AS stations_known,
  SAFE_DIVIDE(AVG(stations), MAX(stations_known)) AS coverage_ratio
FROM clocked
GROUP BY system_id, timezone, local_hour, hour
