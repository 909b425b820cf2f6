-- The number of rows of as_of, including duplicates.
SELECT COUNT(*) AS row_count
FROM `{station_features}`
WHERE event_date = DATE(@as_of) AND as_of = @as_of
