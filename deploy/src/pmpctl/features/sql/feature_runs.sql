SELECT run_id, as_of, engine, status, requested_ts, finished_ts, rows_, error
FROM `{feature_runs}`
ORDER BY requested_ts DESC
LIMIT @limit
