-- Feed time of the first accepted snapshot of a system.
SELECT MIN(feed_ts) AS feed_ts
FROM `{feed_polls}`
WHERE system_id = @system_id AND verdict IN ('ok', 'unchanged')
