-- The given messages that are rows of their table, or dead letters.
SELECT 'feed_snapshots' AS table_id, message_id
FROM `{feed_snapshots}`
WHERE message_id IN UNNEST(@feed_snapshots)
UNION DISTINCT
SELECT 'station_information', message_id
FROM `{station_information}`
WHERE message_id IN UNNEST(@station_information)
UNION DISTINCT
SELECT IF(original_message_id IN UNNEST(@feed_snapshots), 'feed_snapshots', 'station_information'), original_message_id
FROM `{dead_letters}`
WHERE original_message_id IN UNNEST(@feed_snapshots) OR original_message_id IN UNNEST(@station_information)
