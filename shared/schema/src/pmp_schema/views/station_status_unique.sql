-- One row per station and feed time, whatever was redelivered or curated again.
SELECT *
FROM `{project}.pmp_curated.station_status`
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY feed_ts, system_id, station_id ORDER BY ingest_ts, event_id) = 1
