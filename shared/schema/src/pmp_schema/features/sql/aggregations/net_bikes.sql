SUM(IF({of_kind} AND {in_current}, IF(kind = 'dropoff', delta, -delta), 0))
