-- Changes of a station's bikes without their derived event, or derived events without a change.
WITH history AS (
  SELECT bikes - LAG(bikes) OVER (PARTITION BY system_id, station_id ORDER BY feed_ts) AS gained
  FROM `{station_status_unique}`
  WHERE bikes IS NOT NULL
)

SELECT ABS((SELECT COUNTIF(gained != 0) FROM history) - COUNT(*)) AS n
FROM `{raw_events_unique}`
WHERE source = 'derived'
