SELECT
  station_id, SUM(IF(kind = 'pickup', delta, 0)) AS taken, SUM(IF(kind = 'dropoff', delta, 0)) AS brought
FROM `{raw_events}`
WHERE source = 'derived'
GROUP BY station_id
ORDER BY SUM(delta) DESC, station_id
LIMIT 5
