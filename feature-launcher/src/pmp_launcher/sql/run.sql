-- A whole run as one job: the rows into a table of their own, then into station_features, all at once.
DECLARE conflicts INT64 DEFAULT 0;
{stage};
LOOP
  BEGIN
    {merge};
    BREAK;
  EXCEPTION WHEN ERROR THEN
    -- Another run has changed the table meanwhile; the merge begins anew.
    SET conflicts = conflicts + 1;
    IF conflicts >= 5 OR NOT CONTAINS_SUBSTR(@@error.message, 'concurrent update') THEN
      RAISE;
    END IF;
  END;
END LOOP;
SELECT COUNT(*) AS written FROM `{staging}`;
