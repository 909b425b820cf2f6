COUNTIF({of_kind} AND {in_current})
