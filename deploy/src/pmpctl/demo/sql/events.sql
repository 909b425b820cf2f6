SELECT type, FORMAT_TIMESTAMP('%T', time) AS time, SUBSTR(TO_JSON_STRING(data), 1, 44) AS data
FROM `{events}` AS ops_event
ORDER BY ops_event.time
LIMIT 5
