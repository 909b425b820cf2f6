SELECT FORMAT_DATETIME('%F %H:00', local_hour) AS local_hour, polls, min_bikes, max_bikes, changes
FROM `{totals_hourly_local}`
ORDER BY local_hour DESC
LIMIT 5
