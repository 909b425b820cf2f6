-- One row per station and feed time, without the duplicates of redelivered or repeatedly curated snapshots.
SELECT *
FROM `{project}.pmp_curated.station_status`
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY feed_ts, system_id, station_id ORDER BY ingest_ts, event_id) = 1
