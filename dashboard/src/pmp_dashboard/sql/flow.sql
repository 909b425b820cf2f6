-- Bikes that came and went at each station of a city, derived from the feed.
SELECT
  station_id,
  SUM(IF(kind = 'pickup', delta, 0)) AS pickups,
  SUM(IF(kind = 'dropoff', delta, 0)) AS dropoffs
FROM `{raw_events_unique}`
WHERE event_date BETWEEN DATE(@since) AND DATE(@until)
  AND city_id = @city
  AND source = 'derived'
  AND ts_iso > @since AND ts_iso <= @until
GROUP BY station_id
