-- The snapshots of a system by feed time, without those that are dead letters as a whole. Bodies are not read here:
-- they are most of a row.
WITH
snapshots AS (
  SELECT event_id, ingest_ts, message_id, COALESCE(event_ts, publish_ts, ingest_ts) AS feed_ts
  FROM `{feed_snapshots}`
  WHERE ingest_ts >= @since AND system_id = @system_id AND event_type = 'station_status_snapshot'
  QUALIFY ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY ingest_ts) = 1
)
SELECT event_id, feed_ts, ingest_ts
FROM snapshots
WHERE
  feed_ts <= @until
  AND NOT EXISTS (
    SELECT 1 FROM `{dead_letters}` AS letters
    WHERE
      letters.dead_lettered_ts >= @since
      AND letters.original_message_id = snapshots.message_id
      AND letters.reason NOT IN UNNEST(SPLIT(@reasons_of_parts, ' '))
  )
ORDER BY feed_ts, event_id
