-- Snapshots of a system by feed time, with all parts of their messages.
SELECT
  event_id, key, event_ts, ingest_ts, message_id, publish_ts,
  TO_JSON_STRING(payload) AS payload,
  IF(attributes IS NULL, NULL, TO_JSON_STRING(attributes)) AS attributes
FROM `{feed_snapshots}`
WHERE
  ingest_ts BETWEEN @since AND @until AND system_id = @system_id AND event_type = 'station_status_snapshot'
  AND event_id IN UNNEST(JSON_VALUE_ARRAY(@event_ids))
QUALIFY ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY ingest_ts) = 1
ORDER BY COALESCE(event_ts, publish_ts, ingest_ts), event_id
