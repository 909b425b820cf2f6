IF(
  SUM(IF({of_kind}, all_time_events, 0)) >= {peak_min_events}
  AND 10 * (RANK() OVER (PARTITION BY city_id ORDER BY SUM(IF({of_kind}, all_time_events, 0)) DESC) - 1)
    < SUM(IF(SUM(IF({of_kind}, all_time_events, 0)) > 0, 1, 0)) OVER (PARTITION BY city_id),
  1, 0
)
