SELECT feed_ts, bikes, docks, mechanical, ebikes, is_installed, is_renting, change
FROM `{station_status_unique}`
WHERE system_id = @system AND station_id = @station AND feed_ts > @since AND feed_ts <= @until
ORDER BY feed_ts
