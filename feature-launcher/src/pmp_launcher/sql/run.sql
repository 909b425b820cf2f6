-- A whole run as one job: the rows into a table of their own, then into station_features, all at once.
DECLARE merges INT64 DEFAULT 0;
{stage};
LOOP
  SET merges = merges + 1;
  BEGIN
    {merge};
    -- More rows than were staged: another attempt has merged its own at the same time. The merge begins anew, and
    -- replaces both sets.
    IF ({count}) <= (SELECT COUNT(*) FROM `{staging}`) THEN
      BREAK;
    ELSEIF merges >= 5 THEN
      RAISE USING MESSAGE = 'another attempt goes on merging the same as_of';
    END IF;
  EXCEPTION WHEN ERROR THEN
    -- Another run has changed the table meanwhile; the merge begins anew. Where too many wait to do so, it would be
    -- refused again at once, and a script cannot pause: the run fails, and is attempted again.
    IF
      merges >= 5 OR NOT (
        CONTAINS_SUBSTR(@@error.message, 'Could not serialize access')
        OR CONTAINS_SUBSTR(@@error.message, 'concurrent update')
      )
    THEN
      RAISE;
    END IF;
  END;
END LOOP;
SELECT COUNT(*) AS written FROM `{staging}`;
