-- The last row of each station, and its last one with a known count if that is another row.
SELECT
  station_id, feed_ts, bikes, docks, mechanical, ebikes, other_vehicles, bikes_disabled, is_installed, is_renting,
  is_returning
FROM `{station_status}`
WHERE system_id = @system_id AND feed_ts > @since AND feed_ts <= @until
QUALIFY
  ROW_NUMBER() OVER (PARTITION BY station_id ORDER BY feed_ts DESC, ingest_ts DESC) = 1
  OR (
    bikes IS NOT NULL
    AND ROW_NUMBER() OVER (PARTITION BY station_id, bikes IS NULL ORDER BY feed_ts DESC, ingest_ts DESC) = 1
  )
