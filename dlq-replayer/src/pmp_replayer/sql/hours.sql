SELECT topic, hour, published, rows_ AS `rows`, dead_letters, duplicates, edge
FROM `{reconciliation}`
WHERE hour >= @since
