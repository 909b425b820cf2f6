-- One row per feature run. Its status is that of its last event, except that a success is final: a killed run may be
-- started again under the same id, and a missed deadline may be reported after the rows are written.
WITH
run_events AS (
  SELECT
    subject AS run_id,
    time,
    SUBSTR(type, LENGTH('feature_run.') + 1) AS status,
    data
  FROM `{project}.pmp_ops.events`
  WHERE
    subject IS NOT NULL
    AND type IN ('feature_run.requested', 'feature_run.started', 'feature_run.succeeded', 'feature_run.failed')
  QUALIFY ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY publish_ts) = 1
),
ranked AS (
  SELECT
    *,
    ROW_NUMBER() OVER (
      PARTITION BY run_id
      ORDER BY
        status = 'succeeded' DESC,
        time DESC,
        CASE status WHEN 'failed' THEN 3 WHEN 'started' THEN 2 ELSE 1 END DESC
    ) = 1 AS is_last
  FROM run_events
)
SELECT
  run_id,
  MAX(SAFE_CAST(JSON_VALUE(data, '$.as_of') AS TIMESTAMP)) AS as_of,
  MAX(SAFE_CAST(JSON_VALUE(data, '$.known_at') AS TIMESTAMP)) AS known_at,
  MAX(JSON_VALUE(data, '$.engine')) AS engine,
  MAX(JSON_VALUE(data, '$.executor')) AS executor,
  MAX(IF(is_last, status, NULL)) AS status,
  MIN(IF(status = 'requested', time, NULL)) AS requested_ts,
  MAX(IF(status = 'started', time, NULL)) AS started_ts,
  MAX(IF(is_last AND status IN ('succeeded', 'failed'), time, NULL)) AS finished_ts,
  MAX(IF(is_last, SAFE_CAST(JSON_VALUE(data, '$.rows') AS INT64), NULL)) AS rows_,
  MAX(IF(is_last, JSON_VALUE(data, '$.error'), NULL)) AS error
FROM ranked
GROUP BY run_id
