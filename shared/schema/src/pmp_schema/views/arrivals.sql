-- One row per message that became rows or a dead letter, for the topics whose publishers count. A message is identified
-- by its id and publish time, because the ids of a restarted emulator begin again. `event` is the id of the event in
-- the message: two messages with one event are a repeated publish. A dead letter has no message id here; its id and the
-- time at which it was given up are the same in all deliveries and differ between two publishes.
WITH
stored AS (
  SELECT 'pmp-events' AS topic, message_id, publish_ts, event_id AS event, '' AS part
  FROM `{project}.pmp_raw.feed_snapshots`
  UNION ALL
  SELECT
    'pmp-sensor-events', message_id, publish_ts,
    CONCAT(CAST(event_date AS STRING), '/', station_id, '/', event_id), ''
  FROM `{project}.pmp_raw.raw_events`
  UNION ALL
  SELECT 'pmp-station-info', message_id, publish_ts, COALESCE(event_id, message_id), station_id
  FROM `{project}.pmp_curated.station_information`
  UNION ALL
  SELECT
    'pmp-dead-letters', CONCAT(dead_letter_id, '@', CAST(UNIX_MICROS(dead_lettered_ts) AS STRING)),
    dead_lettered_ts, dead_letter_id, ''
  FROM `{project}.pmp_ops.dead_letters`
),
messages AS (
  SELECT
    topic,
    message_id,
    publish_ts,
    MIN(event) AS event,
    DIV(COUNT(*), COUNT(DISTINCT part)) AS deliveries
  FROM stored
  WHERE message_id IS NOT NULL AND publish_ts IS NOT NULL
  GROUP BY topic, message_id, publish_ts
),
given_up AS (
  SELECT
    source_topic AS topic,
    original_message_id AS message_id,
    original_publish_ts AS publish_ts,
    MIN(reason) AS reason
  FROM `{project}.pmp_ops.dead_letters`
  WHERE
    source_topic IS NOT NULL AND source_topic NOT IN ('pmp-ops-events', 'pmp-dead-letters')
    AND original_message_id IS NOT NULL AND original_publish_ts IS NOT NULL
  GROUP BY source_topic, original_message_id, original_publish_ts
)
SELECT
  topic,
  message_id,
  publish_ts,
  messages.event,
  COALESCE(messages.deliveries, 0) AS deliveries,
  given_up.reason,
  messages.deliveries IS NOT NULL
    AND ROW_NUMBER() OVER (
      PARTITION BY topic, messages.event ORDER BY publish_ts, message_id
    ) > 1 AS is_repeat
FROM messages
FULL OUTER JOIN given_up USING (topic, message_id, publish_ts)
