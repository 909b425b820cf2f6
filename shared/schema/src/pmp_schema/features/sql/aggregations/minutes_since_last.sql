MIN(IF({of_kind} AND {in_current}, age_us, NULL)) / 60000000
