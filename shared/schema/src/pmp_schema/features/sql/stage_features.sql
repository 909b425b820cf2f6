-- The rows of one as_of in a table of their own, which BigQuery drops by itself where the run does not.
CREATE OR REPLACE TABLE `{staging}`
OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY))
AS
{feature_rows}
