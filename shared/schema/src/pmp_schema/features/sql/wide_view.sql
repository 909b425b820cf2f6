-- One row per station and as_of, one column per feature; rendered from the catalogue.
SELECT
  event_date,
  as_of,
  city_id,
  station_id,
  {columns}
FROM `{project}.pmp_features.station_features`
GROUP BY event_date, as_of, city_id, station_id
