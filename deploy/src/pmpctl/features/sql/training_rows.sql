SELECT city_id, station_id, as_of, * EXCEPT (city_id, station_id, as_of, event_date)
FROM `{station_features_wide}`
WHERE event_date = @event_date AND as_of IN UNNEST(@times)
ORDER BY as_of, city_id, station_id
