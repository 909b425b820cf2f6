-- The last curated polls of a system.
SELECT feed_ts, event_id, verdict, stations
FROM `{feed_polls}`
WHERE system_id = @system_id AND feed_ts >= @since
-- And the last accepted one, even if more polls came after it.
QUALIFY
  ROW_NUMBER() OVER (ORDER BY feed_ts DESC, ingest_ts DESC) <= @polls
  OR (
    verdict IN ('ok', 'unchanged')
    AND ROW_NUMBER() OVER (
      PARTITION BY verdict IN ('ok', 'unchanged') ORDER BY feed_ts DESC, ingest_ts DESC
    ) = 1
  )
ORDER BY feed_ts DESC, ingest_ts DESC
