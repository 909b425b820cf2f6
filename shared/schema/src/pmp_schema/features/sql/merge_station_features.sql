-- Makes the staged rows the rows of as_of, all at once: a reader sees the set before or the set after, or for some
-- seconds both, where two attempts merge side by side. The staging table may hold a row twice, because it is appended
-- to at least once. ON FALSE: a join on the key would read the whole table, because it is a full outer one; so only
-- the day of as_of is read.
MERGE `{station_features}` AS stored
USING (
  SELECT event_date, city_id, station_id, feature_name, window_len, as_of, MIN(value) AS value
  FROM `{staging}`
  WHERE event_date = DATE(@as_of) AND as_of = @as_of
  GROUP BY event_date, city_id, station_id, feature_name, window_len, as_of
) AS staged
ON FALSE
WHEN NOT MATCHED BY TARGET THEN
  INSERT (city_id, station_id, feature_name, window_len, value, as_of, event_date)
  VALUES (
    staged.city_id, staged.station_id, staged.feature_name, staged.window_len, staged.value, staged.as_of,
    staged.event_date
  )
WHEN NOT MATCHED BY SOURCE AND stored.event_date = DATE(@as_of) AND stored.as_of = @as_of THEN
  DELETE
