-- Bikes that came and went at each station of a city, derived from the feed. What raw_events_unique does stands here
-- again, because of these filters its window lets only the date through: BigQuery would read a whole day of every
-- city. The curation derives a ride the same way each time, so that they pick all deliveries of it or none.
WITH rides AS (
  SELECT station_id, kind, delta
  FROM `{raw_events}`
  WHERE event_date BETWEEN DATE(@since) AND DATE(@until)
    AND city_id = @city
    AND source = 'derived'
    AND ts_iso > @since AND ts_iso <= @until
  QUALIFY ROW_NUMBER() OVER (PARTITION BY event_date, station_id, event_id ORDER BY ingest_ts, message_id) = 1
)
SELECT
  station_id,
  SUM(IF(kind = 'pickup', delta, 0)) AS pickups,
  SUM(IF(kind = 'dropoff', delta, 0)) AS dropoffs
FROM rides
GROUP BY station_id
