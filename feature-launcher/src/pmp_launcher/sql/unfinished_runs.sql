-- Runs that were begun in the last week and whose end nobody has told, the newest first. Asked of the events and not
-- of the view feature_runs, where a filter on what it aggregates would read the events of all time.
WITH
runs AS (
  SELECT
    subject AS run_id,
    MIN(IF(type = 'feature_run.requested', time, NULL)) AS requested_ts,
    MAX(IF(type IN ('feature_run.requested', 'feature_run.started'), time, NULL)) AS begun_ts,
    MAX(IF(type = 'feature_run.failed', time, NULL)) AS failed_ts,
    MAX(IF(type = 'feature_run.succeeded', time, NULL)) AS succeeded_ts
  FROM `{events}`
  WHERE
    time >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 8 DAY)
    AND type IN ('feature_run.requested', 'feature_run.started', 'feature_run.succeeded', 'feature_run.failed')
    AND subject IS NOT NULL
  GROUP BY subject
)
SELECT run_id
FROM runs
WHERE
  requested_ts IS NOT NULL
  AND begun_ts > TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 7 DAY)
  AND succeeded_ts IS NULL
  AND (failed_ts IS NULL OR failed_ts < begun_ts)
ORDER BY begun_ts DESC
LIMIT 20
