import json
from dataclasses import dataclass, field

import msgspec
import pytest

from pmp_replayer.audit import Audit
from pmp_replayer.rate_limit import RateLimit
from pmp_replayer.replay import Replay
from pmp_replayer.request import ReplayRequest
from pmp_schema.errors import PublishFailed, RetryableError
from tests.fakes.clock import Clock
from tests.fakes.recording import RecordingPublisher

CAST = {"op": "cast", "path": "$.delta", "to": "integer"}
CHANGE = {"path": "$.delta", "before": '"1"', "after": "1"}


@dataclass
class RecordingSource:
    """Attributes:
    log: shared with the publisher, so that the order can be seen.
    back: answers for `came_back`, the last one for good.
    """

    batches: list
    log: list = field(default_factory=list)
    back: list = field(default_factory=lambda: [0])
    fail_with: Exception | None = None

    def letters(self):
        yield from self.batches

    def settle(self, letters):
        if self.fail_with is not None:
            raise self.fail_with
        self.log.append(("settled", [letter.id for letter in letters]))

    @property
    def settled(self):
        return [ids for what, ids in self.log if what == "settled"]

    def came_back(self):
        return self.back.pop(0) if len(self.back) > 1 else self.back[0]

    def ended_by(self):
        return None


class LoggingPublisher(RecordingPublisher):
    def __init__(self, log, fail_after=None):
        super().__init__()
        self.log, self.fail_after = log, fail_after

    def publish(self, topic, messages):
        if self.fail_after is not None and topic.id != "pmp-ops-events":
            if self.fail_after == 0:
                raise PublishFailed(topic.id)
            self.fail_after -= 1
        types = [message.attributes["ce-type"] for message in messages if topic.id == "pmp-ops-events"]
        self.log.append((topic.id, types or [m.attributes["pmp-replay-of"] for m in messages]))
        return super().publish(topic, messages)

    @property
    def replayed(self):
        return [(topic, message) for topic, message in self.published if topic != "pmp-ops-events"]

    @property
    def events(self):
        return [json.loads(m.data) for topic, m in self.published if topic == "pmp-ops-events"]


def start(source, publisher=None, *, out_of_time=lambda: False, **request):
    wanted = msgspec.convert({"rate_per_s": 1e6} | request, ReplayRequest)
    publisher = publisher or LoggingPublisher(source.log)
    return replay_of(wanted, source, publisher, out_of_time).run(), publisher


def replay_of(wanted, source, publisher=None, out_of_time=lambda: False):
    clock = Clock()
    return Replay(
        id="r-1",
        request=wanted,
        source=source,
        publisher=publisher,
        rate_limit=RateLimit(wanted.rate_per_s, monotonic=clock, sleep=clock.sleep),
        audit=Audit(publisher, source="pmp-dlq-replayer", replay_id="r-1"),
        out_of_time=out_of_time,
    )


def finished(source, **options):
    """The report and the publisher of a whole replay; the source may be given by its batches alone."""
    source = RecordingSource(source) if isinstance(source, list) else source
    progress, publisher = start(source, **options)
    *_, counts = progress
    return counts.report(), publisher


def test_bytes_and_attributes_are_the_original_ones_except_for_the_count_and_the_replay(a_letter):
    letter = a_letter(data=b"\x00\xff", replay_count=1)
    _, publisher = finished([[letter]])
    [(topic, message)] = publisher.replayed
    assert (topic, message.data) == ("pmp-sensor-events", b"\x00\xff")
    added = {"pmp-replay-count": "2", "pmp-replay-id": "r-1", "pmp-replay-of": "dl-1"}
    assert message.attributes == {"ce-id": "e-1", "tenant": "paris"} | added


def test_a_letter_is_settled_only_after_its_publish_and_recorded_after_that(a_letter):
    source = RecordingSource([[a_letter("dl-1"), a_letter("dl-2", source_topic="pmp-events")]])
    finished(source)
    assert source.log == [
        ("pmp-ops-events", ["replay.started"]),
        ("pmp-events", ["dl-2"]),
        ("settled", ["dl-2"]),
        ("pmp-ops-events", ["replay.letters"]),
        ("pmp-sensor-events", ["dl-1"]),
        ("settled", ["dl-1"]),
        ("pmp-ops-events", ["replay.letters"]),
        ("pmp-ops-events", ["replay.finished"]),
    ]


def test_the_report_counts_every_examined_letter(a_letter):
    letters = [
        a_letter("dl-1"),
        a_letter("dl-2", reason="not_json"),
        a_letter("dl-3", replay_count=3),
        a_letter("dl-4", source_topic="elsewhere"),
        a_letter("dl-5", source_topic="pmp-dead-letters"),
        a_letter("dl-6", source_topic=None),
        a_letter("dl-7", data=None),
        a_letter("dl-8", attributes={str(n): "" for n in range(98)}),
    ]
    report, publisher = finished([letters[:3], [], letters[3:]], reason="schema")
    assert report == {
        "replay_id": "r-1",
        "examined": 8,
        "matched": 7,
        "replayed": 1,
        "kept": 1,
        "refused": 6,
        "came_back": 0,
        "by_reason": {"schema": 7},
        "refused_by": {"max_replays": 1, "unknown_topic": 3, "data_missing": 1, "too_many_attributes": 1},
    }
    assert [message.attributes["pmp-replay-of"] for _, message in publisher.replayed] == ["dl-1"]


def test_the_audit_has_the_request_the_letters_their_fixes_and_the_result(a_letter):
    letters = [a_letter("dl-1"), a_letter("dl-2", data=b'{"delta":2}'), a_letter("dl-3", data=b"no json")]
    report, publisher = finished([letters], fixes=[CAST], reason="schema")
    started, replayed, end = publisher.events
    assert [(event["type"], event["subject"]) for event in publisher.events] == [
        ("replay.started", "r-1"),
        ("replay.letters", "r-1"),
        ("replay.finished", "r-1"),
    ]
    request = started["data"]["request"]
    assert (request["fixes"], request["reason"], request["from"]) == ([CAST], "schema", "hold")
    fixed = [{"id": "dl-1", "changed": 1, "changes": [CHANGE]}]
    assert replayed["data"] == {"replay_id": "r-1", "dead_letter_ids": ["dl-1", "dl-2"], "fixed": fixed}
    assert (end["data"], report["refused_by"]) == (report, {"fix_inapplicable": 1})
    assert [message.data for _, message in publisher.replayed] == [b'{"delta":1}', b'{"delta":2}']


def test_the_replay_ends_at_its_limit_and_examines_no_letter_beyond(a_letter):
    letters = [a_letter(f"dl-{n}", replay_count=3 * (n == 0)) for n in range(10)]
    report, _ = finished([letters[:6], letters[6:]], limit=4)
    assert (report["examined"], report["replayed"], report["refused"]) == (5, 4, 1)
    assert "stopped" not in report


@pytest.mark.parametrize(("rate", "sizes"), [(1e6, [100, 50]), (100, [50, 50, 50]), (0.1, [1] * 150)])
def test_a_batch_is_no_more_than_the_rate_allows_in_half_a_second(a_letter, rate, sizes):
    source = RecordingSource([[a_letter(f"dl-{n}") for n in range(150)]])
    finished(source, rate_per_s=rate)
    assert [len(ids) for ids in source.settled] == sizes


@pytest.mark.parametrize(
    ("letters", "back", "request_", "replayed", "stopped"),
    [
        (100, [4, 4, 6], {"rate_per_s": 20, "stop_share": 0.25}, 20, "too many came back"),
        (19, [19], {"rate_per_s": 2}, 19, None),  # too few to mean anything
    ],
)
def test_the_replay_stops_when_too_much_of_it_comes_back(
    a_letter, letters, back, request_, replayed, stopped
):
    source = RecordingSource([[a_letter(f"dl-{n}") for n in range(letters)]], back=list(back))
    report, _ = finished(source, **request_)
    assert (report.get("stopped"), report["replayed"], report["came_back"]) == (stopped, replayed, back[-1])


def test_a_replay_out_of_time_ends_by_itself(a_letter):
    answers = iter([False, True])
    report, _ = finished([[a_letter("dl-1")], [a_letter("dl-2")]], out_of_time=lambda: next(answers))
    assert (report["stopped"], report["replayed"]) == ("out of time", 1)


def test_a_publish_that_fails_ends_the_replay_and_settles_none_of_its_letters(a_letter):
    source = RecordingSource([[a_letter("dl-1")], [a_letter("dl-2")]])
    progress, publisher = start(source, LoggingPublisher(source.log, fail_after=1))
    with pytest.raises(PublishFailed):
        list(progress)
    assert source.settled == [["dl-1"]]
    end = publisher.events[-1]["data"]
    assert (end["replayed"], end["stopped"]) == (1, "unavailable: PublishFailed")


def test_a_letter_that_cannot_be_settled_is_not_recorded_as_replayed(a_letter):
    progress, publisher = start(RecordingSource([[a_letter()]], fail_with=RetryableError("down")))
    with pytest.raises(RetryableError):
        list(progress)
    assert [event["type"] for event in publisher.events] == ["replay.started", "replay.finished"]


def test_a_replay_does_not_start_without_its_audit_trail(a_letter):
    down = RecordingPublisher(fail_with=PublishFailed("pmp-ops-events"))
    progress, publisher = start(RecordingSource([[a_letter()]]), down)
    with pytest.raises(PublishFailed):
        next(progress)
    assert publisher.published == []


def test_a_replay_that_is_closed_early_is_recorded_as_cancelled(a_letter):
    progress, publisher = start(RecordingSource([[a_letter("dl-1")], [a_letter("dl-2")]]))
    while next(progress).replayed == 0:
        pass
    progress.close()
    end = publisher.events[-1]
    assert (end["type"], end["data"]["stopped"]) == ("replay.finished", "cancelled")
    assert len(publisher.replayed) == 1


def test_a_dry_run_reports_what_a_replay_would_do_and_touches_nothing(a_letter):
    source = RecordingSource([[a_letter(f"dl-{n}", replay_count=n) for n in range(5)]])
    *_, counts = replay_of(msgspec.convert({"fixes": [CAST], "limit": 2}, ReplayRequest), source).dry_run()
    report = counts.report()
    assert report["fixed"] == [{"id": f"dl-{n}", "changed": 1, "changes": [CHANGE]} for n in range(2)]
    numbers = {"dry_run": True, "examined": 2, "replayed": 0, "would_replay": 2, "refused": 0}
    assert report | numbers == report
    assert source.log == []
    [counts] = replay_of(ReplayRequest(), RecordingSource([])).dry_run()
    assert (counts.examined, counts.would_replay) == (0, 0)
