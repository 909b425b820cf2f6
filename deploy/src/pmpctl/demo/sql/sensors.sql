SELECT event_id, station_id, FORMAT_TIMESTAMP('%F %T', ts_iso) AS ts_iso, kind, delta
FROM `{raw_events}`
WHERE source = 'simulator'
LIMIT 5
