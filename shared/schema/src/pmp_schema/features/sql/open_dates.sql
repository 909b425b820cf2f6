-- Event dates before a date that have rows ingested from open_from to known_at. This reads two narrow columns of all
-- partitions, so that the statement with these dates as a parameter reads only these partitions.
SELECT DISTINCT event_date
FROM `{raw_events}`
WHERE event_date < @before AND ingest_ts >= TIMESTAMP(@open_from) AND ingest_ts <= @known_at
ORDER BY event_date
