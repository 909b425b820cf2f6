-- One row per replay: its request and its result (null while it runs, or if it was killed).
WITH replay_events AS (
  SELECT
    event_id,
    type,
    time,
    subject AS replay_id,
    data
  FROM `{project}.pmp_ops.events`
  WHERE type IN ('replay.started', 'replay.finished')
  QUALIFY ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY publish_ts) = 1
)
SELECT
  started.replay_id,
  started.time AS started_ts,
  finished.time AS finished_ts,
  CAST(JSON_VALUE(finished.data, '$.examined') AS INT64) AS examined,
  CAST(JSON_VALUE(finished.data, '$.matched') AS INT64) AS matched,
  CAST(JSON_VALUE(finished.data, '$.replayed') AS INT64) AS replayed,
  CAST(JSON_VALUE(finished.data, '$.kept') AS INT64) AS kept,
  CAST(JSON_VALUE(finished.data, '$.refused') AS INT64) AS refused,
  CAST(JSON_VALUE(finished.data, '$.came_back') AS INT64) AS came_back,
  JSON_VALUE(finished.data, '$.stopped') AS stopped,
  JSON_QUERY(started.data, '$.request') AS request
FROM replay_events AS started
LEFT JOIN replay_events AS finished ON finished.replay_id = started.replay_id AND finished.type = 'replay.finished'
WHERE started.type = 'replay.started'
