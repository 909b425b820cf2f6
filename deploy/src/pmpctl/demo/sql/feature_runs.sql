SELECT run_id, engine, executor, status, rows_
FROM `{feature_runs}`
LIMIT 5
