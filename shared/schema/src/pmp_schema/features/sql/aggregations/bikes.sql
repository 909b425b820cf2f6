SUM(IF({of_kind} AND {in_current}, delta, 0))
