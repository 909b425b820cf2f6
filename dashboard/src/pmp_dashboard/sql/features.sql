-- The newest feature run near the data, for all stations of the city.
WITH newest AS (
  SELECT MAX(as_of) AS as_of
  FROM `{station_features}`
  WHERE event_date BETWEEN DATE(@since) AND DATE(@until) AND city_id = @city
)
SELECT features.station_id, features.feature_name, features.window_len, features.value, features.as_of
FROM `{station_features}` AS features
INNER JOIN newest ON newest.as_of = features.as_of
WHERE features.event_date BETWEEN DATE(@since) AND DATE(@until) AND features.city_id = @city
ORDER BY features.station_id, features.feature_name, features.window_len
