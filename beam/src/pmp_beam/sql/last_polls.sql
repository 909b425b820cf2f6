-- The polls of a system that were curated last. No bound on feed_ts: a recording is played years after its time;
-- the clustering by system_id prunes.
SELECT feed_ts, event_id, verdict, stations
FROM `{feed_polls}`
WHERE system_id = @system_id
-- And the last accepted one, however many came after it.
QUALIFY
  ROW_NUMBER() OVER (ORDER BY feed_ts DESC, ingest_ts DESC) <= @polls
  OR (
    verdict IN ('ok', 'unchanged')
    AND ROW_NUMBER() OVER (
      PARTITION BY verdict IN ('ok', 'unchanged') ORDER BY feed_ts DESC, ingest_ts DESC
    ) = 1
  )
ORDER BY feed_ts DESC, ingest_ts DESC
