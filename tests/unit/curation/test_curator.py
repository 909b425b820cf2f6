"""The curator with messages of one system and a history in memory."""

from datetime import UTC, datetime, timedelta
from itertools import takewhile

import msgspec
import pytest

from pmp_curation.curator import GAP, LOOK_BACK, SETTLED, Curator
from pmp_schema.errors import SinkUnavailable
from pmp_schema.snapshots import receive_snapshot
from tests.fakes.curation_history import CurationHistory, bikes, message

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NOW = START + timedelta(hours=2)
COUNTS = [5, 4, 6, 6, 2, 3, 1, 7]


def poll(n, count=None):
    """The n-th poll of one station, one per minute."""
    return message(bikes(a=COUNTS[n] if count is None else count), START + n * MINUTE)


def received(message):
    return receive_snapshot(message, NOW)


class Clock:
    """A clock that `sleep` moves."""

    def __init__(self, now):
        self.now = now
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def history():
    return CurationHistory()


@pytest.fixture
def clock():
    return Clock(NOW)


@pytest.fixture
def new_curator(history, clock):
    """The curator of a job that starts without state."""
    return lambda: Curator("velib", None, history, clock, clock.sleep)


def moves(outcomes):
    """(minute, bikes gained) of the rides."""
    signs = {"pickup": -1, "dropoff": 1}
    found = []
    for outcome in outcomes:
        for derived in outcome.rides:
            event = msgspec.json.decode(derived.data)
            minute = (datetime.fromisoformat(event["ts_iso"]) - START) // MINUTE
            found.append((minute, signs[event["kind"]] * event["delta"]))
    return found


def minutes(outcomes):
    return [(row["feed_ts"] - START) // MINUTE for outcome in outcomes for row in outcome.polls]


def verdicts(outcomes):
    return [row["verdict"] for outcome in outcomes for row in outcome.polls]


UNDISTURBED = [(1, -1), (2, 2), (4, -4), (5, 1), (6, -2), (7, 6)]


def test_messages_in_order_are_curated_one_by_one(history, new_curator):
    curator = new_curator()
    history.store(*map(poll, range(8)))
    outcomes = [one for n in range(8) for one in history.keep(curator.take(received(poll(n))))]
    assert minutes(outcomes) == list(range(8))
    assert moves(outcomes) == UNDISTURBED
    assert history.asked == ["state", "missing", "messages"]


def test_a_new_job_goes_on_where_the_last_one_ended(history, new_curator):
    history.store(*map(poll, range(8)))
    first = new_curator()
    before = [one for n in range(4) for one in history.keep(first.take(received(poll(n))))]
    second = new_curator()
    after = [one for n in range(4, 8) for one in history.keep(second.take(received(poll(n))))]
    assert moves(before + after) == UNDISTURBED
    assert second.state == _through(first, range(4, 8)).state


def _through(curator, polls):
    for n in polls:
        list(curator.take(received(poll(n))))
    return curator


@pytest.mark.parametrize("killed_before", ["polls", "status_rows"])
def test_what_was_not_made_durable_to_its_end_is_made_again(history, new_curator, killed_before):
    history.store(*map(poll, range(8)))
    first = new_curator()
    for n in range(3):
        history.keep(first.take(received(poll(n))))
    (cut,) = first.take(received(poll(3, 1)))  # its poll row is never written
    if killed_before == "polls":
        history.status_rows += cut.status_rows
    (again,) = new_curator().take(received(poll(3, 1)))
    assert again.status_rows == cut.status_rows
    assert [derived.data for derived in again.rides] == [derived.data for derived in cut.rides]
    assert again.polls == cut.polls


def test_snapshots_that_were_lost_are_curated_before_the_one_in_hand(history, new_curator):
    history.store(*map(poll, range(8)))
    history.keep(new_curator().take(received(poll(0))))
    outcomes = history.keep(new_curator().take(received(poll(7))))
    assert minutes(outcomes) == [1, 2, 3, 4, 5, 6, 7]
    assert moves(outcomes) == UNDISTURBED


def test_what_comes_again_after_it_was_caught_up_changes_nothing(history, new_curator):
    history.store(*map(poll, range(8)))
    curator = new_curator()
    history.keep(curator.take(received(poll(7))))
    again = [one for n in (3, 7, 0) for one in history.keep(curator.take(received(poll(n))))]
    assert [(one.status_rows, one.rides, one.polls) for one in again] == [([], [], [])] * 3


def test_a_message_that_overtakes_another_waits_for_it_in_the_history(history, new_curator):
    history.store(*map(poll, range(8)))
    curator = new_curator()
    order = [0, 1, 3, 2, 4, 6, 5, 7]
    outcomes = [one for n in order for one in history.keep(curator.take(received(poll(n))))]
    assert moves(outcomes) == UNDISTURBED
    assert set(verdicts(outcomes)) == {"ok", "unchanged"}


def test_no_question_is_asked_while_polls_follow_each_other(history, new_curator):
    history.store(*map(poll, range(8)))
    curator = new_curator()
    list(curator.take(received(poll(0))))
    history.asked.clear()
    within = message(bikes(a=9), START + GAP)
    list(curator.take(received(within)))
    assert history.asked == []
    list(curator.take(received(message(bikes(a=9), START + 2 * GAP + timedelta(seconds=1)))))
    assert history.asked == ["missing", "messages"]


def test_across_a_gap_it_waits_until_the_raw_table_has_the_snapshot_in_hand(history, new_curator, clock):
    curator = new_curator()
    history.store(poll(0))
    list(curator.take(received(poll(0))))
    clock.now = poll(5).publish_ts
    arriving = [poll(n) for n in range(1, 6)]

    def sleep(seconds):
        clock.now += timedelta(seconds=seconds)
        history.store(arriving.pop(0))

    curator = Curator("velib", curator.state, history, clock, sleep)
    assert minutes(curator.take(received(poll(5)))) == [1, 2, 3, 4, 5]
    assert arriving == []


def test_it_waits_no_longer_than_a_writer_needs_that_is_up(history, new_curator, clock):
    clock.now = poll(5).publish_ts
    assert minutes(new_curator().take(received(poll(5)))) == [5]
    assert timedelta(seconds=sum(clock.slept)) == SETTLED
    clock.slept.clear()
    assert minutes(new_curator().take(received(poll(5)))) == [5]  # an old message by now
    assert clock.slept == []


def test_catching_up_curates_what_was_lost_in_order(history, new_curator):
    history.store(*map(poll, (4, 0, 2, 1, 3, 7, 5, 6)))
    outcomes = history.keep(new_curator().catch_up())
    assert moves(outcomes) == UNDISTURBED
    curator = new_curator()
    assert list(curator.catch_up()) == []
    assert curator.state == history.state("velib")


def test_catching_up_leaves_what_is_still_on_its_way(history, new_curator, clock):
    history.store(*map(poll, range(4)))
    history.store(poll(4), after=clock.now - poll(4).publish_ts)  # appended late
    history.store(*map(poll, range(5, 8)))
    curator = new_curator()
    assert minutes(history.keep(curator.catch_up())) == [0, 1, 2, 3]
    clock.now += SETTLED
    assert minutes(history.keep(curator.catch_up())) == [4, 5, 6, 7]


def test_catching_up_looks_back_a_day(history, new_curator, clock):
    history.store(*map(poll, range(3)))
    clock.now = poll(1).publish_ts + timedelta(seconds=1) + LOOK_BACK
    assert minutes(new_curator().catch_up()) == [1, 2]


def test_a_snapshot_that_can_never_be_curated_is_a_dead_letter_and_the_state_goes_on(history, new_curator):
    poison = message("no list", START + MINUTE)
    history.store(poll(0), poison, poll(2))
    curator = new_curator()
    list(curator.take(received(poll(0))))
    before = curator.state
    (outcome,) = curator.take(received(poison))
    assert curator.state is before
    assert (outcome.status_rows, outcome.rides, outcome.polls) == ([], [], [])
    (letter,) = outcome.dead_letters
    assert letter.data == poison.data
    assert letter.attributes["pmp-reason"] == "schema"
    assert letter.attributes["pmp-stage"] == "beam/curate_status"
    assert letter.attributes["pmp-source-topic"] == "pmp-events"
    assert letter.attributes["pmp-original-message-id"] == poison.message_id
    assert moves(curator.take(received(poll(2)))) == [(2, 1)]
    lost = list(new_curator().catch_up())
    assert [(len(one.polls), len(one.dead_letters)) for one in lost] == [(1, 0), (0, 1), (1, 0)]


def test_without_an_answer_of_the_history_nothing_is_curated(history, new_curator):
    history.fail_with = SinkUnavailable("down")
    curator = new_curator()
    with pytest.raises(SinkUnavailable):
        list(curator.take(received(poll(0))))
    assert curator.state is None


def test_backfill_makes_history_of_what_came_before_and_polls_of_what_was_left_out(history, new_curator):
    curator = new_curator()
    history.store(poll(4), poll(6))
    for n in (4, 6):
        history.keep(curator.take(received(poll(n))))
    history.store(*map(poll, (0, 1, 2, 3, 5, 7)))
    outcomes = history.keep(new_curator().backfill(since=START))
    assert minutes(outcomes) == [0, 1, 2, 3, 5]  # 7 is the streaming job's
    assert verdicts(outcomes) == ["ok", "ok", "ok", "unchanged", "out_of_order"]
    assert moves(outcomes) == [*takewhile(lambda move: move[0] < 4, UNDISTURBED)]


def test_backfill_of_a_system_that_was_never_curated_takes_everything(history, new_curator):
    history.store(*map(poll, range(8)))
    outcomes = list(new_curator().backfill(since=START))
    assert moves(outcomes) == UNDISTURBED
