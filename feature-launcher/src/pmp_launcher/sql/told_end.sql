-- How an attempt has ended, as it was first told; a success is final.
SELECT
  SUBSTR(type, LENGTH('feature_run.') + 1) AS status,
  time,
  SAFE_CAST(JSON_VALUE(data, '$.rows') AS INT64) AS written,
  JSON_VALUE(data, '$.error') AS error
FROM `{events}`
WHERE
  time >= TIMESTAMP_TRUNC(@requested_at, DAY)
  AND type IN ('feature_run.succeeded', 'feature_run.failed')
  AND event_id IN (CONCAT(@attempt_id, '-succeeded'), CONCAT(@attempt_id, '-failed'))
ORDER BY type = 'feature_run.succeeded' DESC, publish_ts
LIMIT 1
