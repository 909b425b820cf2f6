SELECT name, bikes, docks, ebikes, ROUND(occupancy, 2) AS occupancy
FROM `{latest_state_enriched}`
ORDER BY bikes DESC, station_id
LIMIT 5
