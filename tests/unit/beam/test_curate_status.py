"""The steps of `curate_status` on the direct runner; sources and sinks are others' tests."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import apache_beam as beam
import msgspec
import pytest
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.util import assert_that, equal_to

from pmp_beam.curate_status import REJECTED, KeyBySystem, ListSystems, row_letter
from pmp_beam.curate_system import NO_MESSAGE, Curate
from pmp_beam.io import RejectedRow
from pmp_curation.outcomes import Outcome
from pmp_schema.errors import Reason
from pmp_schema.message import Message
from tests.fakes.curation_history import CurationHistory, bikes, message

NOW = datetime.now(UTC).replace(microsecond=0)
START = NOW - timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def other_feed():
    data = {"source": "velib", "event_type": "station_information_snapshot", "payload": {}}
    return Message(data=msgspec.json.encode(data), message_id="other")


def test_messages_are_keyed_by_system_and_poison_goes_aside():
    first, second = message(bikes(a=1), START), message(bikes(a=1), START, system="bixi")
    poison = Message(data=b"{", message_id="poison", attributes={"k": "v"})
    with beam.Pipeline(runner=BundleBasedDirectRunner()) as pipeline:
        keyed = (
            pipeline
            | beam.Create([first, other_feed(), poison, second])
            | beam.ParDo(KeyBySystem()).with_outputs(REJECTED, main="keyed")
        )
        pairs = [("velib", msgspec.msgpack.encode(first)), ("bixi", msgspec.msgpack.encode(second))]
        assert_that(keyed.keyed, equal_to(pairs), label="keyed")
        letters = keyed[REJECTED] | beam.Map(
            lambda letter: (
                letter.data,
                letter.attributes["pmp-reason"],
                letter.attributes["pmp-original-message-id"],
            )
        )
        assert_that(letters, equal_to([(b"{", "not_json", "poison")]), label="letters")


@pytest.mark.parametrize("attributes", [{}, {"ce-type": "station_status_snapshot", "ce-source": "velib"}])
def test_what_waits_between_workers_is_the_message(attributes):
    given = message(bikes(a=1), START)
    given = replace(given, attributes={**given.attributes, **attributes})
    ((system, data),) = KeyBySystem().process(given)
    assert (system, msgspec.msgpack.decode(data, type=Message)) == ("velib", given)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (message(bikes(a=1), START, system="bixi"), "schema"),
        (other_feed(), "unknown_event_type"),
        (Message(data=b"{", message_id="poison"), "not_json"),
    ],
)
def test_a_message_whose_attributes_are_wrong_is_a_dead_letter(given, reason):
    named = replace(given, attributes={"ce-type": "station_status_snapshot", "ce-source": "velib"})
    (keyed,) = KeyBySystem().process(named)
    cell = Cell()
    (outcome,) = step(CurationHistory()).process(keyed, cell, Timer())
    (letter,) = outcome.dead_letters
    assert (letter.data, letter.attributes["pmp-reason"]) == (given.data, reason)
    assert cell.value is None


def test_the_systems_of_the_last_day_are_told_once():
    history = CurationHistory()
    history.store(message(bikes(a=1), START), message(bikes(a=1), START, system="bixi"))
    history.store(message(bikes(a=1), START - timedelta(days=2), system="old"))
    with beam.Pipeline(runner=BundleBasedDirectRunner()) as pipeline:
        systems = pipeline | ListSystems(lambda: history)
        assert_that(systems, equal_to([("bixi", NO_MESSAGE), ("velib", NO_MESSAGE)]))


class Cell:
    """A value of state."""

    def __init__(self, value=None):
        self.value = value

    def read(self):
        return self.value

    def write(self, value):
        self.value = value


class Timer:
    def __init__(self):
        self.set_to = []

    def set(self, at):
        self.set_to.append(at)


def step(history, **options):
    curate = Curate(lambda: history, now=lambda: NOW, **options)
    curate.setup()
    return curate


def element(*args, **kwargs):
    return "velib", msgspec.msgpack.encode(message(*args, **kwargs))


def test_state_goes_from_message_to_message():
    history, cell = CurationHistory(), Cell()
    curate = step(history)
    list(curate.process(element(bikes(a=5), START), cell, Timer()))
    (outcome,) = curate.process(element(bikes(a=3), START + MINUTE), cell, Timer())
    assert [(row["station_id"], row["change"]) for row in outcome.status_rows] == [("a", "counts")]
    assert len(outcome.rides) == 1


def test_a_state_of_an_unknown_version_is_dropped_for_the_history(caplog):
    history = CurationHistory()
    lost = message(bikes(a=5), START)
    history.store(lost, message(bikes(a=3), START + MINUTE))
    cell = Cell(b"\xff later")
    with caplog.at_level(logging.WARNING):
        outcomes = list(step(history).process(element(bikes(a=3), START + MINUTE), cell, Timer()))
    assert [len(outcome.rides) for outcome in outcomes] == [0, 1]
    assert cell.value[:1] == b"\x01"
    assert [record.message for record in caplog.records] == ["state.dropped"]


def test_a_system_that_is_only_to_catch_up_does():
    history, cell, timer = CurationHistory(), Cell(), Timer()
    history.store(message(bikes(a=5), START))
    curate = step(history, catch_up_every=5 * MINUTE)
    (outcome,) = curate.process(("velib", NO_MESSAGE), cell, timer)
    assert outcome.polls[0]["feed_ts"] == START
    assert cell.value is not None
    assert len(timer.set_to) == 1


def test_the_timer_catches_up_and_sets_itself_again():
    history, timer = CurationHistory(), Timer()
    history.store(message(bikes(a=5), START))
    curate = step(history, catch_up_every=5 * MINUTE)
    (outcome,) = curate.catch_up("velib", Cell(), timer)
    assert outcome.polls[0]["verdict"] == "ok"
    assert len(timer.set_to) == 1


@pytest.mark.parametrize(("every", "timers"), [(None, 0), (5 * MINUTE, 1)])
def test_only_where_asked_for_the_first_message_sets_the_timer(every, timers):
    history, cell, timer = CurationHistory(), Cell(), Timer()
    curate = step(history, catch_up_every=every)
    for minute in range(3):
        list(curate.process(element(bikes(a=minute), START + minute * MINUTE), cell, timer))
    assert len(timer.set_to) == timers


def test_systems_do_not_share_state_on_the_runner():
    history = CurationHistory()
    elements = [
        (system, msgspec.msgpack.encode(message(bikes(a=5 + minute), START + minute * MINUTE, system=system)))
        for minute in range(3)
        for system in ("velib", "bixi")
    ]
    with beam.Pipeline(runner=BundleBasedDirectRunner()) as pipeline:
        outcomes = (
            pipeline
            | beam.Create(elements).with_output_types(tuple[str, bytes])
            | beam.ParDo(Curate(lambda: history)).with_output_types(Outcome)
        )
        changes = outcomes | beam.Map(
            lambda outcome: (outcome.polls[0]["system_id"], outcome.status_rows[0]["change"])
        )
        expected = [
            (system, change) for system in ("velib", "bixi") for change in ("first", "counts", "counts")
        ]
        assert_that(changes, equal_to(expected))


def test_a_refused_row_is_a_letter_of_its_snapshot():
    outcome = Outcome(message=message(bikes(a=1), START, message_id="m-1"))
    row = {"station_id": "a", "feed_ts": START}
    letter = row_letter(RejectedRow(outcome, row, Reason.ROW_REJECTED, "bikes: too large"))
    assert msgspec.json.decode(letter.data) == {"station_id": "a", "feed_ts": f"{START:%Y-%m-%dT%H:%M:%SZ}"}
    kept = {name: letter.attributes[f"pmp-{name}"] for name in ("reason", "detail", "original-message-id")}
    assert kept == {
        "reason": "row_rejected",
        "detail": "bikes: too large",
        "original-message-id": "m-1",
    }
