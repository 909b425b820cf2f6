from google.cloud import bigquery

from pmp_schema.tables import table
from pmpctl.project.tables import api_table, differences, missing_columns

RAW = table("raw_events")


def test_table_is_made_with_partition_and_clustering():
    made = api_table(RAW, "p-1").to_api_repr()
    assert made["tableReference"] == {"projectId": "p-1", "datasetId": "pmp_raw", "tableId": "raw_events"}
    assert made["timePartitioning"] == {"type": "DAY", "field": "event_date"}
    assert made["clustering"] == {"fields": ["city_id", "station_id"]}
    assert [f["name"] for f in made["schema"]["fields"]] == [c.name for c in RAW.columns]


def test_equal_table_has_no_differences():
    existing = api_table(RAW, "p-1")
    assert missing_columns(RAW, existing) == ()
    assert list(differences(RAW, existing)) == []


def test_table_of_another_making_lists_what_is_missing_and_what_cannot_change():
    existing = bigquery.Table("p-1.pmp_raw.raw_events")
    existing.schema = [
        bigquery.SchemaField(name, kind)
        for name, kind in [
            ("EVENT_ID", "STRING"),
            ("station_id", "STRING"),
            ("ts_iso", "STRING"),
            ("kind", "STRING"),
            ("delta", "INTEGER"),
            ("event_date", "DATE"),
        ]
    ]
    assert [c.name for c in missing_columns(RAW, existing)] == [
        "city_id",
        "source",
        "extra",
        "ingest_ts",
        "message_id",
        "publish_ts",
    ]
    assert list(differences(RAW, existing)) == [
        "column ts_iso is STRING, the schema says TIMESTAMP",
        "partitioned by None, the schema says event_date",
        "clustered by None, the schema says ['city_id', 'station_id']",
    ]
