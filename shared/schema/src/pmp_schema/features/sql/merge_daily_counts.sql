-- Makes the counts of the ingest dates from open_from to through those of station_daily_counts, all at once. An event
-- belongs to the date of its first ingestion, which never changes, so running it again changes nothing. ON FALSE: only
-- the partitions concerned are read, and rows that another closing has left for the same dates are deleted.
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
    -- NULL where the numbers of a broken sensor exceed 64 bits: one sensor must not make the merge fail for ever.
    SAFE_CAST(SUM(CAST(delta AS FLOAT64)) AS INT64) AS bikes
  FROM events
  WHERE first_ingest_date >= @open_from
  GROUP BY city_id, station_id, kind, event_date, first_ingest_date
) AS closed
ON FALSE
WHEN NOT MATCHED BY TARGET THEN
  INSERT (city_id, station_id, kind, event_date, first_ingest_date, events, bikes)
  VALUES (
    closed.city_id, closed.station_id, closed.kind, closed.event_date, closed.first_ingest_date, closed.events,
    closed.bikes
  )
WHEN NOT MATCHED BY SOURCE
  AND counts.event_date IN UNNEST(@event_dates)
  AND counts.first_ingest_date BETWEEN @open_from AND @through
THEN
  DELETE
