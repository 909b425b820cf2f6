-- The polls of a system that were curated last. No bound on feed_ts: a recording is played years after its time;
-- the clustering by system_id prunes.
SELECT feed_ts, event_id, verdict, stations
FROM `{feed_polls}`
WHERE system_id = @system_id
ORDER BY feed_ts DESC, ingest_ts DESC
LIMIT @polls
