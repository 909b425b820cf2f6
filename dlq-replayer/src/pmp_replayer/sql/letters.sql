-- One row per dead letter that no replay has replayed yet. Pushes are delivered at least once, so ids may repeat.
WITH replayed AS (
  SELECT DISTINCT dead_letter_id
  FROM `{events}`
  CROSS JOIN UNNEST(JSON_VALUE_ARRAY(data, '$.dead_letter_ids')) AS dead_letter_id
  WHERE type = 'replay.letters' AND time >= @since
)
SELECT
  letters.dead_letter_id,
  letters.reason,
  letters.source_topic,
  letters.system_id,
  letters.data,
  IF(letters.attributes IS NULL, NULL, TO_JSON_STRING(letters.attributes)) AS attributes,
  letters.replay_count,
  letters.original_publish_ts
FROM `{dead_letters}` AS letters
LEFT JOIN replayed ON replayed.dead_letter_id = letters.dead_letter_id
WHERE replayed.dead_letter_id IS NULL
  AND (@reason IS NULL OR letters.reason = @reason)
  AND (@source_topic IS NULL OR letters.source_topic = @source_topic)
  AND (@system IS NULL OR letters.system_id = @system)
  AND (@published_after IS NULL OR letters.original_publish_ts >= @published_after)
  AND (@published_before IS NULL OR letters.original_publish_ts < @published_before)
  AND letters.dead_lettered_ts >= @since
QUALIFY ROW_NUMBER() OVER (PARTITION BY letters.dead_letter_id ORDER BY letters.dead_lettered_ts) = 1
