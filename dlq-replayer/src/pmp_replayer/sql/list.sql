-- The newest dead letters, each once, with the time of the first replay.
WITH replayed AS (
  SELECT dead_letter_id, MIN(time) AS replayed_ts
  FROM `{events}`
  CROSS JOIN UNNEST(JSON_VALUE_ARRAY(data, '$.dead_letter_ids')) AS dead_letter_id
  WHERE type = 'replay.letters' AND time >= @since
  GROUP BY dead_letter_id
)
SELECT
  letters.dead_letter_id,
  letters.reason,
  letters.detail,
  letters.source_topic,
  letters.source_subscription,
  letters.system_id,
  LENGTH(letters.data) AS data_bytes,
  IF(letters.attributes IS NULL, NULL, TO_JSON_STRING(letters.attributes)) AS attributes,
  letters.original_message_id,
  letters.original_publish_ts,
  letters.delivery_attempts,
  letters.replay_count,
  letters.dead_lettered_ts,
  replayed.replayed_ts
FROM `{dead_letters}` AS letters
LEFT JOIN replayed ON replayed.dead_letter_id = letters.dead_letter_id
WHERE (@reason IS NULL OR letters.reason = @reason)
  AND (@source_topic IS NULL OR letters.source_topic = @source_topic)
  AND letters.dead_lettered_ts >= @since
QUALIFY ROW_NUMBER() OVER (PARTITION BY letters.dead_letter_id ORDER BY letters.dead_lettered_ts) = 1
ORDER BY letters.dead_lettered_ts DESC, letters.dead_letter_id
LIMIT @limit
