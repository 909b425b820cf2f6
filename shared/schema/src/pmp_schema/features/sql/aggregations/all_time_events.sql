SUM(IF({of_kind}, all_time_events, 0))
