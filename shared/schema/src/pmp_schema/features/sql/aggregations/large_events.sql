COUNTIF({of_kind} AND {in_current} AND delta >= {large_delta})
