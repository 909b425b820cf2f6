-- One row per station: the newest feed time, then the newest ingestion.
SELECT *
FROM `{project}.pmp_curated.station_information`
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY system_id, station_id ORDER BY feed_ts DESC, ingest_ts DESC, message_id
) = 1
