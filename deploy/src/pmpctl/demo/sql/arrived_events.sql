-- The simulated events of a run that are rows or dead letters.
SELECT event_id
FROM `{raw_events}`
WHERE STARTS_WITH(event_id, @prefix)
UNION DISTINCT
SELECT JSON_VALUE(attributes, '$."ce-id"')
FROM `{dead_letters}`
WHERE STARTS_WITH(JSON_VALUE(attributes, '$."ce-id"'), @prefix)
