-- The state of each station, and the start of its empty or full period: the first row after the last one that was not
-- empty (or full). Without such a row within 3 days it is the first row, and the period may be longer.
WITH
history AS (
  SELECT
    station_id,
    feed_ts,
    MAX(IF(bikes = 0, NULL, feed_ts)) OVER (PARTITION BY station_id) AS last_with_bikes_ts,
    MAX(IF(docks = 0, NULL, feed_ts)) OVER (PARTITION BY station_id) AS last_with_docks_ts
  FROM `{station_status}`
  WHERE system_id = @system AND feed_ts >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 3 DAY)
),
stretches AS (
  SELECT
    station_id,
    MIN(IF(feed_ts > last_with_bikes_ts OR last_with_bikes_ts IS NULL, feed_ts, NULL)) AS empty_since_ts,
    MIN(IF(feed_ts > last_with_docks_ts OR last_with_docks_ts IS NULL, feed_ts, NULL)) AS full_since_ts,
    MAX(last_with_bikes_ts) IS NULL AS empty_for_longer,
    MAX(last_with_docks_ts) IS NULL AS full_for_longer
  FROM history
  GROUP BY station_id
)
SELECT
  state.station_id,
  state.name,
  state.lat,
  state.lon,
  state.capacity,
  state.bikes,
  state.docks,
  state.mechanical,
  state.ebikes,
  state.other_vehicles,
  state.feed_ts,
  state.reported_ts,
  state.is_reporting,
  state.is_closed,
  state.is_empty,
  state.is_full,
  state.occupancy,
  state.quality,
  IF(state.is_empty, stretches.empty_since_ts, NULL) AS empty_since_ts,
  IF(state.is_full, stretches.full_since_ts, NULL) AS full_since_ts,
  (state.is_empty AND stretches.empty_for_longer) OR (state.is_full AND stretches.full_for_longer) AS may_be_longer
FROM `{latest_state_enriched}` AS state
LEFT JOIN stretches ON stretches.station_id = state.station_id
WHERE state.system_id = @system
ORDER BY state.station_id
