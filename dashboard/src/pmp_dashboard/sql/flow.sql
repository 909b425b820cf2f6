-- Bikes that arrived and left at each station of a city, derived from the feed. It repeats the deduplication of
-- raw_events_unique, because only the filter on the date passes that view's window: BigQuery would read a whole day of
-- every city. The curation derives a ride the same way each time, so the filters keep all deliveries of a ride or none.
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
