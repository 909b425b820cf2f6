-- One row per system: the newest city and time zone of its snapshots ('unknown' and 'UTC' where absent, or where
-- BigQuery does not know the zone), and the number of stations in its newest station information. That number is null
-- if the station information is older than 90 days: an unchanged feed is not published again.
WITH
named AS (
  SELECT
    system_id,
    NULLIF(city_id, '') AS city_id,
    IF(
      REGEXP_CONTAINS(timezone, r'^[A-Za-z]')
      AND SAFE_CAST(CONCAT('2000-01-01 00:00:00 ', timezone) AS TIMESTAMP) IS NOT NULL,
      timezone,
      NULL
    ) AS timezone,
    last_seen_ts
  FROM `{project}.pmp_raw.systems_seen`
),
listed AS (
  SELECT system_id, station_id
  FROM `{project}.pmp_curated.station_information`
  WHERE ingest_ts >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 90 DAY)
  QUALIFY RANK() OVER (PARTITION BY system_id ORDER BY feed_ts DESC) = 1
),
known AS (
  SELECT system_id, COUNT(DISTINCT station_id) AS stations_known
  FROM listed
  GROUP BY system_id
),
newest AS (
  SELECT
    system_id,
    FIRST_VALUE(city_id IGNORE NULLS) OVER newest_first AS city_id,
    FIRST_VALUE(timezone IGNORE NULLS) OVER newest_first AS timezone,
    last_seen_ts
  FROM named
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY system_id ORDER BY last_seen_ts DESC) = 1
  WINDOW newest_first AS (
    PARTITION BY system_id ORDER BY last_seen_ts DESC ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
  )
)
SELECT
  newest.system_id,
  COALESCE(newest.city_id, 'unknown') AS city_id,
  COALESCE(newest.timezone, 'UTC') AS timezone,
  known.stations_known,
  newest.last_seen_ts
FROM newest
LEFT JOIN known ON known.system_id = newest.system_id
