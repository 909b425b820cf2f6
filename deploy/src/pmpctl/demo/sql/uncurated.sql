-- Published snapshots without a poll row.
SELECT COUNT(DISTINCT event_id) AS n
FROM `{feed_snapshots}`
WHERE message_id IN UNNEST(@message_ids) AND event_id NOT IN (SELECT event_id FROM `{feed_polls}`)
