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


def finished(source, publisher=None, **request):
    progress, publisher = start(source, publisher, **request)
    *_, counts = progress
    return counts.report(), publisher


def test_bytes_and_attributes_are_the_original_ones_but_for_the_count_and_the_run(a_letter):
    letter = a_letter(
        "dl-1", data=b"\x00\xff", replay_count=1, attributes={"ce-id": "e-1", "tenant": "paris"}
    )
    _, publisher = finished(RecordingSource([[letter]]))
    [(topic, message)] = publisher.replayed
    assert (topic, message.data) == ("pmp-sensor-events", b"\x00\xff")
    assert message.attributes == {
        "ce-id": "e-1",
        "tenant": "paris",
        "pmp-replay-count": "2",
        "pmp-replay-id": "r-1",
        "pmp-replay-of": "dl-1",
    }


def test_a_letter_is_settled_only_after_its_publish_and_noted_after_that(a_letter):
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


def test_the_report_counts_everything_that_was_looked_at(a_letter):
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
    report, publisher = finished(RecordingSource([letters[:3], [], letters[3:]]), reason="schema")
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


def test_the_audit_names_the_request_the_letters_their_fixes_and_the_result(a_letter):
    fix = {"op": "cast", "path": "$.delta", "to": "integer"}
    source = RecordingSource([[a_letter("dl-1"), a_letter("dl-2", data=b'{"delta":2}')]])
    report, publisher = finished(source, fixes=[fix], reason="schema")
    started, letters, end = publisher.events
    assert [event["type"] for event in publisher.events] == [
        "replay.started",
        "replay.letters",
        "replay.finished",
    ]
    assert {event["subject"] for event in publisher.events} == {"r-1"}
    assert started["data"]["request"]["fixes"] == [fix]
    assert (started["data"]["request"]["reason"], started["data"]["request"]["from"]) == ("schema", "hold")
    assert letters["data"] == {
        "replay_id": "r-1",
        "dead_letter_ids": ["dl-1", "dl-2"],
        "fixed": [
            {"id": "dl-1", "changed": 1, "changes": [{"path": "$.delta", "before": '"1"', "after": "1"}]}
        ],
    }
    assert end["data"] == report
    assert [message.data for _, message in publisher.replayed] == [b'{"delta":1}', b'{"delta":2}']


def test_a_letter_that_a_fix_does_not_fit_stays_where_it_is(a_letter):
    letters = [a_letter("dl-1"), a_letter("dl-2", data=b"no json")]
    report, publisher = finished(RecordingSource([letters]), fixes=[{"op": "remove", "path": "$.delta"}])
    assert (report["replayed"], report["refused_by"]) == (1, {"fix_inapplicable": 1})
    assert [message.data for _, message in publisher.replayed] == [b"{}"]


def test_the_run_ends_at_its_limit_and_looks_at_no_letter_beyond(a_letter):
    letters = [a_letter(f"dl-{n}", replay_count=3 * (n == 0)) for n in range(10)]
    report, _ = finished(RecordingSource([letters[:6], letters[6:]]), limit=4)
    assert (report["examined"], report["replayed"], report["refused"]) == (5, 4, 1)
    assert "stopped" not in report


@pytest.mark.parametrize(("rate", "sizes"), [(1e6, [100, 50]), (100, [50, 50, 50]), (0.1, [1] * 150)])
def test_a_batch_is_no_more_than_the_rate_gives_in_half_a_second(a_letter, rate, sizes):
    source = RecordingSource([[a_letter(f"dl-{n}") for n in range(150)]])
    finished(source, rate_per_s=rate)
    assert [len(ids) for what, ids in source.log if what == "settled"] == sizes


def test_the_run_stops_when_too_much_of_it_comes_back(a_letter):
    source = RecordingSource([[a_letter(f"dl-{n}") for n in range(100)]], back=[4, 4, 6])
    report, _ = finished(source, rate_per_s=20, stop_share=0.25)
    assert (report["stopped"], report["replayed"], report["came_back"]) == ("too many came back", 20, 6)


def test_what_comes_back_of_less_than_twenty_stops_nothing(a_letter):
    source = RecordingSource([[a_letter(f"dl-{n}") for n in range(19)]], back=[19])
    report, _ = finished(source, rate_per_s=2)
    assert (report["replayed"], report["came_back"], "stopped" in report) == (19, 19, False)


def test_a_run_out_of_time_ends_by_itself(a_letter):
    source = RecordingSource([[a_letter("dl-1")], [a_letter("dl-2")]])
    answers = iter([False, True])
    report, _ = finished(source, out_of_time=lambda: next(answers))
    assert (report["stopped"], report["replayed"]) == ("out of time", 1)


def test_a_publish_that_fails_ends_the_run_and_settles_nothing_of_it(a_letter):
    source = RecordingSource([[a_letter("dl-1")], [a_letter("dl-2")]])
    publisher = LoggingPublisher(source.log, fail_after=1)
    progress, _ = start(source, publisher)
    with pytest.raises(PublishFailed):
        list(progress)
    assert [ids for what, ids in source.log if what == "settled"] == [["dl-1"]]
    assert publisher.events[-1]["data"]["replayed"] == 1
    assert publisher.events[-1]["data"]["stopped"] == "unavailable: PublishFailed"


def test_a_letter_that_cannot_be_settled_is_not_noted_as_replayed(a_letter):
    source = RecordingSource([[a_letter("dl-1")]], fail_with=RetryableError("down"))
    progress, publisher = start(source)
    with pytest.raises(RetryableError):
        list(progress)
    assert [event["type"] for event in publisher.events] == ["replay.started", "replay.finished"]


def test_without_its_trace_a_run_does_not_begin(a_letter):
    source = RecordingSource([[a_letter("dl-1")]])
    progress, publisher = start(source, RecordingPublisher(fail_with=PublishFailed("pmp-ops-events")))
    with pytest.raises(PublishFailed):
        next(progress)
    assert publisher.published == []


def test_a_run_that_is_given_up_says_so(a_letter):
    source = RecordingSource([[a_letter("dl-1")], [a_letter("dl-2")]])
    progress, publisher = start(source)
    while next(progress).replayed == 0:
        pass
    progress.close()
    assert (publisher.events[-1]["type"], publisher.events[-1]["data"]["stopped"]) == (
        "replay.finished",
        "cancelled",
    )
    assert len(publisher.replayed) == 1


def test_a_dry_run_says_what_a_run_would_do_and_touches_nothing(a_letter):
    source = RecordingSource(
        [[a_letter(f"dl-{n}", replay_count=n) for n in range(5)]], fail_with=AssertionError()
    )
    request = msgspec.convert(
        {"fixes": [{"op": "set", "path": "$.delta", "value": 1}], "limit": 2}, ReplayRequest
    )
    *_, counts = replay_of(request, source).dry_run()
    report = counts.report()
    assert report["fixed"][0] == {
        "id": "dl-0",
        "changed": 1,
        "changes": [{"path": "$.delta", "before": '"1"', "after": "1"}],
    }
    assert {
        name: report[name] for name in ("dry_run", "examined", "replayed", "would_replay", "refused")
    } == {
        "dry_run": True,
        "examined": 2,
        "replayed": 0,
        "would_replay": 2,
        "refused": 0,
    }
    assert source.log == []


def test_a_dry_run_without_letters_has_a_result_too():
    [counts] = replay_of(ReplayRequest(), RecordingSource([])).dry_run()
    assert (counts.examined, counts.would_replay) == (0, 0)
