SELECT scope, name, feed_age_s, poll_age_s, polls_24h, failed_polls_24h, dead_letters_24h, missing_messages
FROM `{pipeline_health}`
ORDER BY scope, name
