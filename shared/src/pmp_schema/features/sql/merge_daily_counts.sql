-- Takes the ingest dates from open_from to through into station_daily_counts. An event belongs to the date of its
-- first ingestion, which never changes; running it again changes nothing.
MERGE `{station_daily_counts}` AS counts
USING (
  WITH events AS (
    SELECT city_id, station_id, kind, delta, event_date, DATE(ingest_ts) AS first_ingest_date
    FROM `{raw_events}`
    WHERE event_date IN UNNEST(@event_dates) AND ingest_ts < TIMESTAMP(DATE_ADD(@through, INTERVAL 1 DAY))
    QUALIFY ROW_NUMBER() OVER (PARTITION BY event_date, station_id, event_id ORDER BY ingest_ts, message_id) = 1
  )
  SELECT
    city_id,
    station_id,
    kind,
    event_date,
    first_ingest_date,
    COUNT(*) AS events,
    -- NULL where a broken sensor's numbers leave 64 bits; the merge must not fail for ever because of one.
    SAFE_CAST(SUM(CAST(delta AS FLOAT64)) AS INT64) AS bikes
  FROM events
  WHERE first_ingest_date >= @open_from
  GROUP BY city_id, station_id, kind, event_date, first_ingest_date
) AS closed
ON
  counts.event_date IN UNNEST(@event_dates)
  AND counts.event_date = closed.event_date
  AND counts.city_id = closed.city_id
  AND counts.station_id = closed.station_id
  AND counts.kind = closed.kind
  AND counts.first_ingest_date = closed.first_ingest_date
WHEN MATCHED THEN
  UPDATE SET events = closed.events, bikes = closed.bikes
WHEN NOT MATCHED THEN
  INSERT (city_id, station_id, kind, event_date, first_ingest_date, events, bikes)
  VALUES (
    closed.city_id, closed.station_id, closed.kind, closed.event_date, closed.first_ingest_date, closed.events,
    closed.bikes
  )
