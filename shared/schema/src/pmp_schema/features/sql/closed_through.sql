-- The last ingest date before a date that station_daily_counts holds. Every merge takes all days after the last one
-- at once, so that the days before it are there too.
SELECT MAX(first_ingest_date) AS closed_through
FROM `{station_daily_counts}`
WHERE first_ingest_date < @before
