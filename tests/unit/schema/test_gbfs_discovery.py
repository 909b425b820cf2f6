from pathlib import Path

import pytest

from pmp_schema import gbfs
from pmp_schema.errors import PoisonMessage, Reason

EXAMPLES = Path(__file__).parents[2] / "examples" / "gbfs"


def example(name: str) -> gbfs.Document:
    return gbfs.decode((EXAMPLES / name).read_bytes())


@pytest.mark.parametrize(
    ("language", "status_url"),
    [
        (None, "https://example.test/en/station_status"),
        ("de", "https://example.test/de/station_status"),
        ("DE_AT", "https://example.test/de/station_status"),
        ("fr", "https://example.test/fr/station_status"),
        ("sv", "https://example.test/en/station_status"),
    ],
)
def test_versions_1_and_2_list_feeds_by_language(language, status_url):
    assert gbfs.feed_urls(example("v1_gbfs.json"), language=language)["station_status"] == status_url


def test_version_3_lists_feeds_without_language():
    assert gbfs.feed_urls(example("v3_gbfs.json"), language="fr") == {
        "station_information": "https://example.test/3/station_information",
        "station_status": "https://example.test/3/station_status",
    }


def test_the_first_language_serves_where_neither_the_wanted_nor_english_is_offered():
    document = gbfs.Document(
        {
            "data": {
                "nb": {"feeds": []},
                "es": {"feeds": [{"name": "a", "url": "https://x.test/a"}]},
                "it": {"feeds": 3},
            }
        }
    )
    assert gbfs.feed_urls(document, language="fr") == {"a": "https://x.test/a"}


def test_unusable_entries_are_left_out_and_the_first_of_a_name_counts():
    feeds = [
        None,
        {"name": "station_status"},
        {"name": 3, "url": "https://x.test/a"},
        {"name": "station_status", "url": "file:///etc/passwd"},
        {"name": " station_status.json ", "url": " HTTPS://x.test/1 "},
        {"name": "station_status", "url": "https://x.test/2"},
    ]
    assert gbfs.feed_urls(gbfs.Document({"data": {"feeds": feeds}})) == {"station_status": "HTTPS://x.test/1"}


@pytest.mark.parametrize(
    "root", [{}, {"data": {}}, {"data": {"en": {}}}, {"data": {"feeds": []}}, {"data": []}]
)
def test_a_discovery_document_without_feeds_is_poison(root):
    with pytest.raises(PoisonMessage) as caught:
        gbfs.feed_urls(gbfs.Document(root))
    assert caught.value.reason is Reason.SCHEMA
