import pytest

from pmp_replayer.dead_letter import Letter


@pytest.fixture
def a_letter():
    """A dead letter of a sensor event, with the fields that a test gives."""

    def make(letter_id="dl-1", **fields):
        plain = {
            "reason": "schema",
            "source_topic": "pmp-sensor-events",
            "system_id": None,
            "data": b'{"delta":"1"}',
            "attributes": {"ce-id": "e-1", "tenant": "paris"},
            "replay_count": 0,
            "published_at": None,
        }
        return Letter(id=letter_id, **plain | fields)

    return make
