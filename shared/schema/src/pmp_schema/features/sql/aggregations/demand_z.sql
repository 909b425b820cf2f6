(COUNTIF({of_kind} AND {in_current}) - COUNTIF({of_kind} AND {in_baseline}) / {baseline_slots})
  / SQRT(COUNTIF({of_kind} AND {in_baseline}) / {baseline_slots} + 1)
