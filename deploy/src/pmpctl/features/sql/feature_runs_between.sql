-- A run that does not say what it knew may have known everything.
SELECT
  as_of,
  IFNULL(known_at, TIMESTAMP '9999-12-31 00:00:00+00:00') AS known_at,
  engine,
  status = 'succeeded' AS has_succeeded
FROM `{feature_runs}`
WHERE as_of BETWEEN @first AND @last
