-- Stores the rows of one as_of in a staging table, which BigQuery drops after a day if the run does not.
CREATE OR REPLACE TABLE `{staging}`
OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY))
AS
{feature_rows}
