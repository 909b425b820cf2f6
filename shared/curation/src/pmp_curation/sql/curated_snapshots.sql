-- The snapshots of a system that have a poll row.
SELECT DISTINCT event_id
FROM `{feed_polls}`
WHERE system_id = @system_id AND feed_ts BETWEEN @oldest AND @newest
