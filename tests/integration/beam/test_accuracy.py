"""The derived events against the truth of the simulated city, with its anomalies on."""

from datetime import timedelta

import pytest

from tests.integration.beam.simulated_day import SimulatedDay


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(timedelta(hours=2), id="two hours"),
        pytest.param(timedelta(days=1), id="a day", marks=[pytest.mark.faults, pytest.mark.timeout(900)]),
    ],
)
def day(request) -> SimulatedDay:
    simulated = SimulatedDay(seed=8)
    simulated.run(request.param)
    print(f"{request.param}: {simulated.report()}")
    return simulated


def test_every_net_change_between_accepted_polls_is_derived_exactly(day):
    assert day.derived_net_changes() == day.true_net_changes()


def test_the_series_has_what_it_is_to_be_judged_by(day):
    assert day.blips > 0
    assert day.redelivered > 0
    assert day.system.verdicts.count("suspect") == day.blips
    assert any("listed again" in (row["detail"] or "") for row in day.system.polls)
    assert len(day.accepted) > 60


def test_blips_duplicates_and_redeliveries_derive_nothing(day):
    accepted = set(day.accepted)
    suspect = {row["feed_ts"] for row in day.system.polls if row["verdict"] == "suspect"}
    dated = {row["feed_ts"] for row in day.system.rows}
    assert dated <= accepted
    assert not dated & suspect
    assert len({event["event_id"] for event in day.system.events}) == len(day.system.events)


def test_a_replay_of_everything_derives_nothing(day):
    before = len(day.system.rows), len(day.system.events), len(day.system.polls)
    day.system.take(*day.snapshots)
    assert (len(day.system.rows), len(day.system.events), len(day.system.polls)) == before


def test_what_is_derived_is_a_lower_bound_of_what_moved(day):
    for kind in ("pickup", "dropoff"):
        assert 0.7 < day.recall(kind) <= 1


def test_at_a_poll_a_minute_few_observations_have_a_row(day):
    observed = sum(row["stations"] for row in day.system.polls)
    assert len([c for _, c in day.system.changes if c != "first"]) / observed <= 0.05
