-- One row if station_daily_counts has duplicates for the dates that were just merged.
SELECT event_date
FROM `{station_daily_counts}`
WHERE event_date IN UNNEST(@event_dates) AND first_ingest_date BETWEEN @open_from AND @through
GROUP BY city_id, station_id, kind, event_date, first_ingest_date
HAVING COUNT(*) > 1
LIMIT 1
