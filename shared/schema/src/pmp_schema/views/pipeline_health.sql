-- One row per system (scope 'system') and per topic that was reconciled or has dead letters (scope 'topic'); columns of
-- the other scope are null. Ages are in seconds; the 24 hours are hours of processing, not of feed time. A dead letter
-- is counted for its topic and, where known, for its system: add up within one scope only. Missing and surplus messages
-- are those of the topic's last reconciliation, which covers the hours until reconciled_until. The view
-- pmp_ops.reconciliation is not read here, because it reads whole tables.
WITH
accepted AS (
  SELECT system_id, feed_ts AS newest_feed_ts, stations AS stations_reporting
  FROM `{project}.pmp_curated.feed_polls_unique`
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY system_id ORDER BY feed_ts DESC) = 1
),
curated AS (
  SELECT
    system_id,
    COUNT(DISTINCT IF(verdict = 'ok', event_id, NULL)) AS accepted_24h,
    COUNT(DISTINCT IF(verdict = 'suspect', event_id, NULL)) AS suspect_24h,
    COUNT(DISTINCT IF(verdict = 'out_of_order', event_id, NULL)) AS out_of_order_24h
  FROM `{project}.pmp_curated.feed_polls`
  WHERE
    feed_ts >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 30 DAY)
    AND ingest_ts >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 24 HOUR)
  GROUP BY system_id
),
polls AS (
  SELECT
    event_id,
    subject AS system_id,
    time,
    JSON_VALUE(data, '$.outcome') AS outcome
  FROM `{project}.pmp_ops.events`
  WHERE
    time >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 7 DAY)
    AND type = 'feed.polled' AND JSON_VALUE(data, '$.feed') = 'station_status' AND subject IS NOT NULL
),
polled AS (
  SELECT
    system_id,
    MAX(time) AS last_poll_ts,
    COUNT(DISTINCT IF(is_recent, event_id, NULL)) AS polls_24h,
    COUNT(DISTINCT IF(is_recent AND outcome = 'failed', event_id, NULL)) AS failed_polls_24h
  FROM (
    SELECT *, time >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 24 HOUR) AS is_recent FROM polls
  )
  GROUP BY system_id
),
given_up AS (
  SELECT dead_letter_id, system_id, COALESCE(source_topic, 'unknown') AS topic
  FROM `{project}.pmp_ops.dead_letters`
  WHERE dead_lettered_ts >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 24 HOUR)
),
given_up_systems AS (
  SELECT system_id, COUNT(DISTINCT dead_letter_id) AS dead_letters_24h
  FROM given_up
  WHERE system_id IS NOT NULL
  GROUP BY system_id
),
given_up_topics AS (
  SELECT topic, COUNT(DISTINCT dead_letter_id) AS dead_letters_24h
  FROM given_up
  GROUP BY topic
),
reconciled AS (
  SELECT
    subject AS topic,
    SAFE_CAST(JSON_VALUE(data, '$.until') AS TIMESTAMP) AS reconciled_until,
    SAFE_CAST(JSON_VALUE(data, '$.missing') AS INT64) AS missing_messages,
    SAFE_CAST(JSON_VALUE(data, '$.surplus') AS INT64) AS surplus_messages
  FROM `{project}.pmp_ops.events`
  WHERE
    time >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 7 DAY)
    AND type = 'reconciliation.checked' AND subject IS NOT NULL
  QUALIFY ROW_NUMBER() OVER (PARTITION BY subject ORDER BY time DESC, event_id) = 1
),
names AS (
  SELECT 'system' AS scope, system_id AS name FROM `{project}.pmp_curated.systems`
  UNION DISTINCT
  SELECT 'system', system_id FROM accepted
  UNION DISTINCT
  SELECT 'system', system_id FROM curated
  UNION DISTINCT
  SELECT 'system', system_id FROM polled
  UNION DISTINCT
  SELECT 'system', system_id FROM given_up_systems
  UNION DISTINCT
  SELECT 'topic', topic FROM given_up_topics
  UNION DISTINCT
  SELECT 'topic', topic FROM reconciled
)
SELECT
  names.scope,
  names.name,
  systems.city_id,
  accepted.newest_feed_ts,
  TIMESTAMP_DIFF(CURRENT_TIMESTAMP(), accepted.newest_feed_ts, SECOND) AS feed_age_s,
  polled.last_poll_ts,
  TIMESTAMP_DIFF(CURRENT_TIMESTAMP(), polled.last_poll_ts, SECOND) AS poll_age_s,
  IF(names.scope = 'system', COALESCE(polled.polls_24h, 0), NULL) AS polls_24h,
  IF(names.scope = 'system', COALESCE(polled.failed_polls_24h, 0), NULL) AS failed_polls_24h,
  IF(names.scope = 'system', COALESCE(curated.accepted_24h, 0), NULL) AS accepted_24h,
  IF(names.scope = 'system', COALESCE(curated.suspect_24h, 0), NULL) AS suspect_24h,
  IF(names.scope = 'system', COALESCE(curated.out_of_order_24h, 0), NULL) AS out_of_order_24h,
  accepted.stations_reporting,
  systems.stations_known,
  SAFE_DIVIDE(accepted.stations_reporting, systems.stations_known) AS coverage_ratio,
  COALESCE(given_up_systems.dead_letters_24h, given_up_topics.dead_letters_24h, 0) AS dead_letters_24h,
  reconciled.reconciled_until,
  reconciled.missing_messages,
  reconciled.surplus_messages
FROM names
LEFT JOIN `{project}.pmp_curated.systems` AS systems
  ON names.scope = 'system' AND systems.system_id = names.name
LEFT JOIN accepted ON names.scope = 'system' AND accepted.system_id = names.name
LEFT JOIN curated ON names.scope = 'system' AND curated.system_id = names.name
LEFT JOIN polled ON names.scope = 'system' AND polled.system_id = names.name
LEFT JOIN given_up_systems ON names.scope = 'system' AND given_up_systems.system_id = names.name
LEFT JOIN given_up_topics ON names.scope = 'topic' AND given_up_topics.topic = names.name
LEFT JOIN reconciled ON names.scope = 'topic' AND reconciled.topic = names.name
