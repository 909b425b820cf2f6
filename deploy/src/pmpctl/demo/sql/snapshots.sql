SELECT system_id, event_type, FORMAT_TIMESTAMP('%F %T', event_ts) AS event_ts, station_count
FROM `{feed_snapshots}`
ORDER BY event_ts DESC
LIMIT 5
