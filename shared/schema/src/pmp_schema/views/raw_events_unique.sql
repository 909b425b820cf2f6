-- One row per event: the one that was ingested first. An id is unique only together with its station and date, because
-- sensors restart their numbering. event_date is in the PARTITION BY clause so that a filter on it prunes partitions.
SELECT *
FROM `{project}.pmp_raw.raw_events`
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY event_date, station_id, event_id ORDER BY ingest_ts, message_id) = 1
