"""Station features with Beam, columnar: from raw events to the rows of one as_of.

The same rows as the SQL engine's, by the rules of `pmp_schema.features`. `shards`, `deliveries`, `facts`, `partials`
and `rows` compute; they know Arrow and numpy only. `pipeline` spreads that over workers, `staging` makes the rows
visible all at once, `feature_run` publishes its ops events.

A station's events meet in one shard and are deduplicated there before anything is counted, because a count of
repeated deliveries cannot be put right afterwards. What a city adds to a station, its rank and its share, needs one
more, small shuffle of one row per station.
"""
