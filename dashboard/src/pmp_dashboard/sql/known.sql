-- Every known station: those in the newest information, and others that had a row.
WITH
listed AS (
  SELECT station_id, station_code, name, lat, lon, capacity, address, region_id
  FROM `{station_information_latest}`
  WHERE system_id = @system
),
seen AS (
  SELECT DISTINCT station_id
  FROM `{station_status}`
  WHERE system_id = @system AND feed_ts > @since AND feed_ts <= @until
)
SELECT
  COALESCE(listed.station_id, seen.station_id) AS station_id,
  listed.station_id IS NOT NULL AS has_information,
  listed.station_code,
  listed.name,
  listed.lat,
  listed.lon,
  listed.capacity,
  listed.address,
  listed.region_id
FROM listed
FULL JOIN seen ON seen.station_id = listed.station_id
