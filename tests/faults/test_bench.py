"""The bench itself notices what it is for."""

import pytest

from tests.fakes.faults import Refuse
from tests.fakes.push_proxy import PushProxy


def test_a_message_that_is_acknowledged_and_not_written_is_lost(bench):
    with PushProxy(bench.writer.url) as pushes:
        bench.broker.url = pushes.url
        pushes.faults.next += [None, Refuse(204), None]
        bench.publish(3)
        with pytest.raises(AssertionError):
            bench.settle()
    assert [(one.messages, len(one.lost)) for one in bench.outcomes] == [(3, 1)]
    bench.outcomes.clear()  # no line of the table


def test_a_row_of_another_message_is_noticed(bench):
    bench.publish(2)
    bench.settle()
    first, second = bench.rows()
    first["event_id"], second["event_id"] = second["event_id"], first["event_id"]
    with pytest.raises(AssertionError):
        bench.settle()
    bench.outcomes.clear()
