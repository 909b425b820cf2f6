SELECT topic, publish_ts, message_id, event, deliveries, is_repeat AS published_again
FROM `{arrivals}`
WHERE publish_ts >= @since AND (deliveries > 1 OR is_repeat)
ORDER BY publish_ts DESC, message_id
LIMIT @limit
