COUNTIF({of_kind} AND {in_baseline}) / {baseline_slots}
