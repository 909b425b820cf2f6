-- Event dates before a date with rows ingested from open_from to known_at. Two narrow columns of all partitions are
-- read here, so that the statement that takes these dates as a parameter prunes all others.
SELECT DISTINCT event_date
FROM `{raw_events}`
WHERE event_date < @before AND ingest_ts >= TIMESTAMP(@open_from) AND ingest_ts <= @known_at
ORDER BY event_date
