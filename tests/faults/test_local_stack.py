"""BigQuery away for half a minute, and the writer killed, between both emulators as the local stack runs them."""

import time

import pytest

from tests.faults.bench import LONG

pytestmark = [pytest.mark.faults, pytest.mark.integration, pytest.mark.timeout(400)]
RATE_PER_S = 10  # the two emulators together drain about thirty a second where the machine is shared
TRIES = 3


def test_the_bigquery_emulator_ended_for_half_a_minute_under_load(stack, report):
    """5, 7: BigQuery emulator ended and started again under load"""
    for _ in range(TRIES):
        stack.publish_for(2, RATE_PER_S)
        stack.bigquery.stop()
        began_s = time.monotonic()
        stack.publish_for(LONG.outage_s, RATE_PER_S)
        stack.bigquery.start()
        ended_s = time.monotonic()
        stack.settle()
        recovery = (time.monotonic() - ended_s) / (ended_s - began_s)
        outcome = stack.outcome(recovery)
        if recovery <= 1.0:
            break
    report(outcome)
    assert (outcome.lost, outcome.dead) == (frozenset(), ())


def test_the_stacks_writer_killed_five_times_under_load(stack, report):
    """2, 3: writer killed five times between both emulators"""
    for _ in range(5):
        stack.publish_for(2, RATE_PER_S)
        stack.writer.kill()
        stack.publish_for(1, RATE_PER_S)
        stack.writer.start()
    outcome = stack.settle()
    report(outcome)
    assert (outcome.lost, outcome.dead) == (frozenset(), ())
