"""Names that queries share with the code that publishes them."""

from pmp_replayer.ledger import LETTERS
from pmp_replayer.table import _statement
from pmp_replayer.verdict import REPLAY_ID


def test_queries_name_the_attribute_and_the_event_as_they_are_published():
    assert f'"{REPLAY_ID}"' in _statement("came_back", "p")
    assert f"type = '{LETTERS}'" in _statement("letters", "p")
    assert f"type = '{LETTERS}'" in _statement("list", "p")


def test_tables_are_those_of_the_topology():
    assert "`p.pmp_ops.dead_letters`" in _statement("letters", "p")
    assert "`p.pmp_ops.events`" in _statement("letters", "p")
    assert "{" not in _statement("letters", "p") + _statement("list", "p") + _statement("came_back", "p")
