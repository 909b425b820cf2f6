-- Staged rows of an as_of, each key once: the table may hold a row twice, because it is appended to at least once.
SELECT COUNT(*) AS key_count
FROM (
  SELECT DISTINCT city_id, station_id, feature_name, window_len
  FROM `{staging}`
  WHERE event_date = DATE(@as_of) AND as_of = @as_of
) AS keys
