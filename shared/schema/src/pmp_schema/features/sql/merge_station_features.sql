-- Makes the staged rows the rows of as_of, all at once: a reader sees the old set or the new one, or for some seconds
-- both, if two attempts merge at once. The staging table may have duplicates, because it is appended to at least once.
-- ON FALSE: a join on the key would be a full outer one and read the whole table; so only the day of as_of is read.
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
