-- Systems with their time zone, and topics.
SELECT health.*, systems.timezone
FROM `{pipeline_health}` AS health
LEFT JOIN `{systems}` AS systems ON health.scope = 'system' AND systems.system_id = health.name
