SELECT
  FORMAT_TIMESTAMP('%F %H:%M', feed_ts) AS feed_ts, verdict, stations, changed, bikes, empty_stations AS empty
FROM `{feed_polls}`
ORDER BY feed_ts DESC
LIMIT 5
