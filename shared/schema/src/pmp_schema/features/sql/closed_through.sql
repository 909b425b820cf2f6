-- The last ingest date in station_daily_counts that is before a date. Each merge adds all days after the last one at
-- once, so all earlier days are there too.
SELECT MAX(first_ingest_date) AS closed_through
FROM `{station_daily_counts}`
WHERE first_ingest_date < @before
