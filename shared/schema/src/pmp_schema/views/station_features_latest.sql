-- One row per station, feature and window: that of the newest as_of. A mean or a maximum without events has no row, so
-- its newest row may be older than that of the station's counts. The view has no bound in time, because a silent
-- station keeps its last row; so it reads all partitions, and a filter on event_date prunes none.
SELECT *
FROM `{project}.pmp_features.station_features`
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY city_id, station_id, feature_name, window_len ORDER BY as_of DESC
) = 1
