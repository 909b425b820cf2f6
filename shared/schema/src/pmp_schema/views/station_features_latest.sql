-- One row per station, feature and window: the newest as_of that has it. A mean or a maximum of nothing has no row, so
-- that its newest one may be older than that of the station's counts. Not bounded in time, because a station that has
-- fallen silent keeps its last row; so all partitions are read, and a filter on event_date prunes none.
SELECT *
FROM `{project}.pmp_features.station_features`
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY city_id, station_id, feature_name, window_len ORDER BY as_of DESC
) = 1
