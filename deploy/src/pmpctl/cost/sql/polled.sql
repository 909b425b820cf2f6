-- Polls by feed, and the bytes of the bodies that were published.
SELECT
  feed,
  COUNT(*) AS polls,
  COALESCE(SUM(IF(outcome = 'published', bytes, 0)), 0) AS published_bytes
FROM (
  SELECT
    JSON_VALUE(data, '$.feed') AS feed,
    JSON_VALUE(data, '$.outcome') AS outcome,
    SAFE_CAST(JSON_VALUE(data, '$.bytes') AS INT64) AS bytes
  FROM `{events}`
  WHERE time >= @since AND type = 'feed.polled'
  QUALIFY ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY publish_ts) = 1
)
GROUP BY feed
ORDER BY feed
