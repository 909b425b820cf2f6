-- latest_state with the information about the station and its system; a station without information keeps its row.
-- occupancy: bikes / (bikes + free docks); occupancy_by_capacity: bikes / docks, above 1 where bikes stand outside.
-- Closed, empty and full as in feed_polls: a closed station is neither empty nor full. coverage_ratio is the same for
-- all stations of a system: reporting stations / stations in its newest station information.
SELECT
  state.*,
  COALESCE(systems.city_id, 'unknown') AS city_id,
  COALESCE(systems.timezone, 'UTC') AS timezone,
  information.station_id IS NOT NULL AS has_information,
  information.name,
  information.station_code,
  information.lat,
  information.lon,
  information.capacity,
  information.address,
  information.region_id,
  SAFE_DIVIDE(state.bikes, state.bikes + state.docks) AS occupancy,
  SAFE_DIVIDE(state.bikes, information.capacity) AS occupancy_by_capacity,
  state.is_installed IS FALSE OR state.is_renting IS FALSE AS is_closed,
  state.is_installed IS NOT FALSE AND state.is_renting IS NOT FALSE AND state.bikes = 0 AS is_empty,
  state.is_installed IS NOT FALSE AND state.is_renting IS NOT FALSE AND state.docks = 0 AS is_full,
  SAFE_DIVIDE(
    SUM(IF(state.is_reporting, 1, 0)) OVER (PARTITION BY state.system_id), systems.stations_known
  ) AS coverage_ratio
FROM `{project}.pmp_marts.latest_state` AS state
LEFT JOIN `{project}.pmp_curated.station_information_latest` AS information
  ON information.system_id = state.system_id AND information.station_id = state.station_id
LEFT JOIN `{project}.pmp_curated.systems` AS systems ON systems.system_id = state.system_id
