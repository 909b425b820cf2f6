-- Messages that publishers counted, by topic. An event whose answer was lost is there twice, under one id.
SELECT topic, SUM(messages) AS messages
FROM (
  SELECT subject AS topic, SAFE_CAST(JSON_VALUE(data, '$.messages') AS INT64) AS messages
  FROM `{events}`
  WHERE time >= @since AND type = 'publisher.counted' AND subject IS NOT NULL
  QUALIFY ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY publish_ts) = 1
)
GROUP BY topic
ORDER BY topic
