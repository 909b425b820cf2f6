-- One row per topic and hour of publishing: how many messages the publishers counted, and how many became rows or dead
-- letters. A publisher counts a message when its publish is confirmed, so the messages of an hour's last 15 seconds
-- (`edge`) may be counted in the next hour. `missing` and `surplus` are those of this hour alone.
WITH
counts AS (
  SELECT
    MIN(subject) AS topic,
    MIN(SAFE_CAST(JSON_VALUE(data, '$.minute') AS TIMESTAMP)) AS minute,
    MIN(SAFE_CAST(JSON_VALUE(data, '$.messages') AS INT64)) AS messages
  FROM `{project}.pmp_ops.events`
  WHERE type = 'publisher.counted'
  GROUP BY event_id
),
parts AS (
  SELECT
    topic,
    TIMESTAMP_TRUNC(minute, HOUR) AS hour,
    messages AS published,
    0 AS rows_,
    0 AS dead_letters,
    0 AS duplicates,
    0 AS edge
  FROM counts
  WHERE topic IS NOT NULL AND minute IS NOT NULL AND messages > 0
  UNION ALL
  SELECT
    topic,
    TIMESTAMP_TRUNC(publish_ts, HOUR),
    0,
    IF(deliveries > 0, 1, 0),
    IF(deliveries > 0, 0, 1),
    IF(is_repeat, 1, 0),
    IF(EXTRACT(MINUTE FROM publish_ts) = 59 AND EXTRACT(SECOND FROM publish_ts) >= 45, 1, 0)
  FROM `{project}.pmp_ops.arrivals`
)
SELECT
  topic,
  hour,
  SUM(published) AS published,
  SUM(rows_) AS rows_,
  SUM(dead_letters) AS dead_letters,
  SUM(duplicates) AS duplicates,
  GREATEST(SUM(published) - SUM(rows_) - SUM(dead_letters), 0) AS missing,
  GREATEST(SUM(rows_) + SUM(dead_letters) - SUM(duplicates) - SUM(published), 0) AS surplus,
  SUM(edge) AS edge
FROM parts
GROUP BY topic, hour
