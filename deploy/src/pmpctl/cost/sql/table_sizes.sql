-- The bytes of all rows as text, because the emulator reports no table sizes.
SELECT COALESCE(SUM(bytes), 0) AS bytes
FROM (
  SELECT SUM(LENGTH(TO_JSON_STRING(held))) AS bytes FROM `{feed_snapshots}` AS held
  UNION ALL
  SELECT SUM(LENGTH(TO_JSON_STRING(held))) AS bytes FROM `{raw_events}` AS held
  UNION ALL
  SELECT SUM(LENGTH(TO_JSON_STRING(held))) AS bytes FROM `{station_status}` AS held
  UNION ALL
  SELECT SUM(LENGTH(TO_JSON_STRING(held))) AS bytes FROM `{feed_polls}` AS held
  UNION ALL
  SELECT SUM(LENGTH(TO_JSON_STRING(held))) AS bytes FROM `{station_information}` AS held
  UNION ALL
  SELECT SUM(LENGTH(TO_JSON_STRING(held))) AS bytes FROM `{station_daily_counts}` AS held
  UNION ALL
  SELECT SUM(LENGTH(TO_JSON_STRING(held))) AS bytes FROM `{station_features}` AS held
  UNION ALL
  SELECT SUM(LENGTH(TO_JSON_STRING(held))) AS bytes FROM `{dead_letters}` AS held
  UNION ALL
  SELECT SUM(LENGTH(TO_JSON_STRING(held))) AS bytes FROM `{events}` AS held
)
