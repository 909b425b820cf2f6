AVG(IF({of_kind} AND {in_current}, delta, NULL))
