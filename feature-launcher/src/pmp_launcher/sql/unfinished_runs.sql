-- Runs that were started and whose end nobody has told, the newest first.
SELECT run_id
FROM `{feature_runs}`
WHERE
  status IN ('requested', 'started')
  AND requested_ts > TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 7 DAY)
ORDER BY requested_ts DESC
LIMIT 20
