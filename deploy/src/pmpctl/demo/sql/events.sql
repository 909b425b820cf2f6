SELECT type, FORMAT_TIMESTAMP('%T', time) AS time, TO_JSON_STRING(data) AS data
FROM `{events}` AS told
ORDER BY told.time
LIMIT 5
