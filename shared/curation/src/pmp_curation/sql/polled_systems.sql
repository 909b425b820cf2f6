-- Systems with station_status snapshots in the period.
SELECT DISTINCT system_id
FROM `{feed_snapshots}`
WHERE ingest_ts >= @since AND event_type = 'station_status_snapshot'
ORDER BY system_id
