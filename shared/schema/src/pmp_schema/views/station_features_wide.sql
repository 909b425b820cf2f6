-- One row per station and as_of, one column per feature; rendered from the catalogue.
SELECT
  event_date,
  as_of,
  city_id,
  station_id,
  MAX(IF(feature_name = 'pickup_count' AND window_len = '30m', value, NULL)) AS pickup_count_30m,
  MAX(IF(feature_name = 'pickup_count' AND window_len = '2h', value, NULL)) AS pickup_count_2h,
  MAX(IF(feature_name = 'pickup_count' AND window_len = '24h', value, NULL)) AS pickup_count_24h,
  MAX(IF(feature_name = 'dropoff_count' AND window_len = '30m', value, NULL)) AS dropoff_count_30m,
  MAX(IF(feature_name = 'dropoff_count' AND window_len = '2h', value, NULL)) AS dropoff_count_2h,
  MAX(IF(feature_name = 'dropoff_count' AND window_len = '24h', value, NULL)) AS dropoff_count_24h,
  MAX(IF(feature_name = 'net_flow' AND window_len = '30m', value, NULL)) AS net_flow_30m,
  MAX(IF(feature_name = 'net_flow' AND window_len = '2h', value, NULL)) AS net_flow_2h,
  MAX(IF(feature_name = 'turnover' AND window_len = '24h', value, NULL)) AS turnover_24h,
  MAX(IF(feature_name = 'avg_delta_pickup' AND window_len = '24h', value, NULL)) AS avg_delta_pickup_24h,
  MAX(IF(feature_name = 'max_abs_delta' AND window_len = '24h', value, NULL)) AS max_abs_delta_24h,
  MAX(IF(feature_name = 'rebalancing_suspect' AND window_len = '24h', value, NULL)) AS rebalancing_suspect_24h,
  MAX(IF(feature_name = 'minutes_since_last_pickup' AND window_len = '168h', value, NULL)) AS minutes_since_last_pickup_168h,
  MAX(IF(feature_name = 'minutes_since_last_dropoff' AND window_len = '168h', value, NULL)) AS minutes_since_last_dropoff_168h,
  MAX(IF(feature_name = 'pickup_lag' AND window_len = '24h', value, NULL)) AS pickup_lag_24h,
  MAX(IF(feature_name = 'pickup_lag' AND window_len = '168h', value, NULL)) AS pickup_lag_168h,
  MAX(IF(feature_name = 'hour_of_week_baseline' AND window_len = '4w', value, NULL)) AS hour_of_week_baseline_4w,
  MAX(IF(feature_name = 'demand_z' AND window_len = '1h', value, NULL)) AS demand_z_1h,
  MAX(IF(feature_name = 'city_share' AND window_len = '24h', value, NULL)) AS city_share_24h,
  MAX(IF(feature_name = 'pickup_total' AND window_len = 'all_time', value, NULL)) AS pickup_total_all_time,
  MAX(IF(feature_name = 'is_peak_station' AND window_len = 'all_time', value, NULL)) AS is_peak_station_all_time
FROM `{project}.pmp_features.station_features`
GROUP BY event_date, as_of, city_id, station_id
