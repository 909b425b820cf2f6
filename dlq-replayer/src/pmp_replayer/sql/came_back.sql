SELECT COUNT(DISTINCT dead_letter_id) AS letters
FROM `{dead_letters}`
WHERE dead_lettered_ts >= @since
  AND JSON_VALUE(attributes, '$."pmp-replay-id"') = @replay_id
