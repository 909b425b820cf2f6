SELECT
  city_id,
  station_id,
  MAX(IF(feature_name = 'pickup_count' AND window_len = '24h', value, NULL)) AS pickups,
  MAX(IF(feature_name = 'dropoff_count' AND window_len = '24h', value, NULL)) AS dropoffs,
  ROUND(MAX(IF(feature_name = 'city_share', value, NULL)), 4) AS city_share
FROM `{station_features_latest}`
GROUP BY city_id, station_id
ORDER BY pickups DESC, station_id
LIMIT 5
