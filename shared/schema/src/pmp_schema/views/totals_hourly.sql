-- One row per system and UTC hour of feed time, over its accepted snapshots, each with the same weight. A late snapshot
-- counts in the hour of its feed time. A filter on utc_date prunes partitions. coverage_ratio: average number of
-- stations in the snapshots / stations in the newest station information; null without station information.
WITH hours AS (
  SELECT
    system_id,
    TIMESTAMP_TRUNC(feed_ts, HOUR) AS hour,
    DATE(feed_ts) AS utc_date,
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
    SUM(changed) AS changes
  FROM `{project}.pmp_curated.feed_polls_unique`
  GROUP BY system_id, hour, utc_date
)
SELECT
  hours.*,
  systems.stations_known,
  SAFE_DIVIDE(hours.avg_stations, systems.stations_known) AS coverage_ratio
FROM hours
LEFT JOIN `{project}.pmp_curated.systems` AS systems ON systems.system_id = hours.system_id
