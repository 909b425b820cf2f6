-- The rows of as_of, each as often as it is there.
SELECT COUNT(*) AS row_count
FROM `{station_features}`
WHERE event_date = DATE(@as_of) AND as_of = @as_of
