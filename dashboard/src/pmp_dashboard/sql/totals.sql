SELECT
  hour AS hour_ts,
  polls,
  avg_bikes,
  min_bikes,
  max_bikes,
  avg_docks,
  min_docks,
  max_docks,
  avg_empty_stations,
  avg_full_stations,
  coverage_ratio
FROM `{totals_hourly}`
WHERE system_id = @system
  AND utc_date BETWEEN DATE(@since) AND DATE(@until)
  AND hour > @since AND hour <= @until
ORDER BY hour
