SELECT station_id, station_code, name, lat, lon, capacity, address, region_id
FROM `{station_information_latest}`
WHERE system_id = @system AND station_id = @station
