-- The rows of station_features for one as_of, from the events ingested until known_at.
WITH
events AS (
  SELECT
    city_id,
    station_id,
    kind,
    -- A broken sensor may send any 64-bit number, and an overflow of an INT64 sum would fail the whole statement.
    CAST(delta AS FLOAT64) AS delta,
    event_date < DATE(@as_of) AND DATE(ingest_ts) < @open_from AS is_in_daily_counts,
    TIMESTAMP_DIFF(@as_of, ts_iso, MICROSECOND) AS age_us
  FROM `{raw_events}`
  WHERE
    (event_date BETWEEN @first_date AND DATE(@as_of) OR event_date IN UNNEST(@late_dates))
    AND ingest_ts <= @known_at
  QUALIFY ROW_NUMBER() OVER (PARTITION BY event_date, station_id, event_id ORDER BY ingest_ts, message_id) = 1
),
-- Events, and closed days. Closed days have no age: they are outside all windows and count for all time only.
facts AS (
  SELECT city_id, station_id, kind, delta, age_us, IF(is_in_daily_counts, 0, 1) AS all_time_events
  FROM events
  WHERE age_us >= 0
  UNION ALL
  -- Two closings at once may leave duplicates for a short time.
  SELECT city_id, station_id, kind, NULL, NULL, MAX(events)
  FROM `{station_daily_counts}`
  WHERE event_date < DATE(@as_of) AND first_ingest_date < @open_from
  GROUP BY city_id, station_id, kind, event_date, first_ingest_date
),
stations AS (
  SELECT
    city_id,
    station_id,
    MIN(age_us) < {active_us} AS is_active,
    {columns}
  FROM facts
  GROUP BY city_id, station_id
)
SELECT
  city_id,
  station_id,
  feature.feature_name,
  feature.window_len,
  feature.value,
  @as_of AS as_of,
  DATE(@as_of) AS event_date
FROM stations
CROSS JOIN UNNEST([
  {values}
]) AS feature
WHERE is_active AND feature.value IS NOT NULL
