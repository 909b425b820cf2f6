COUNTIF({of_kind} AND {in_current})
  / NULLIF(SUM(COUNTIF({of_kind} AND {in_current})) OVER (PARTITION BY city_id), 0)
