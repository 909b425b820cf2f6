"""The writer is killed, stopped, overloaded, idle."""

import sys
import time
from collections import Counter

import pytest

from tests.fakes.storage_write import Hang
from tests.fakes.waiting import eventually
from tests.faults.bench import SNAPSHOTS, snapshot_of

pytestmark = pytest.mark.faults
IN_FLIGHT = 200
GRACE_S = 10  # after which Cloud Run kills
NO_FILES = (
    "import os, resource, sys; "
    "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def kills(bench):
    return 5 if bench.scale.is_long else 1


def kill_while(bench, fault, has_begun):
    """Publishes, kills the writer while its appends are caught in a fault, starts it; so many times."""
    for _ in range(kills(bench)):
        with bench.every_append(fault):
            before = has_begun()
            bench.publish(bench.scale.messages)
            eventually(lambda before=before: has_begun() > before)
            bench.writer.kill()
        bench.writer.start()
        outcome = bench.settle()
    return outcome


def test_a_writer_killed_between_commit_and_answer_duplicates_and_loses_nothing(bench):
    """2: writer killed after the commit, before the answer"""
    outcome = kill_while(bench, Hang(committed=True), lambda: len(bench.rows()))
    assert outcome.duplicates > 0
    assert outcome.dead == ()


def test_a_writer_killed_before_the_commit_loses_nothing(bench):
    """3: writer killed before the commit"""
    outcome = kill_while(bench, Hang(), lambda: len(bench.storage.requests))
    assert outcome.dead == ()


def test_a_writer_killed_under_load_with_poison_loses_nothing(bench):
    """2, 3: writer killed again and again under load"""
    for _ in range(kills(bench)):
        bench.keep_publishing(0.5, poison_every=10)
        bench.writer.kill()
        bench.keep_publishing(0.5, poison_every=10)
        bench.writer.start()
    outcome = bench.settle()
    assert set(outcome.reasons) == {"not_json"}


def test_a_writer_that_gets_sigterm_answers_the_pushes_in_flight(bench):
    """4: SIGTERM with 200 in flight"""
    bench.writer.restart(THREADS=str(IN_FLIGHT + 8))
    bench.broker.outstanding = IN_FLIGHT
    bench.storage.latency_s = 0.8
    bench.publish(IN_FLIGHT)
    eventually(lambda: bench.storage.requests)
    time.sleep(0.5)  # the others queue behind the appends in flight
    began_s = time.monotonic()
    code = bench.writer.terminate()
    seconds = time.monotonic() - began_s
    answered = Counter(bench.broker.answers)
    bench.storage.latency_s = 0.0
    bench.writer.start()
    bench.settle()
    assert code == 0
    assert seconds < GRACE_S
    assert answered[204] == IN_FLIGHT


def test_overload_is_held_back_and_memory_stays(bench):
    """26: five times the load that BigQuery takes"""
    bench.broker.outstanding = IN_FLIGHT
    bench.publish(3 * bench.scale.messages)
    bench.settle()
    before = bench.writer.usage()
    bench.storage.latency_s = 0.2
    bench.ride_out(bench.scarce_quota(), bench.scale.outage_s)
    after = bench.writer.usage()
    assert bench.broker.answers[503] > 0
    assert after.rss_bytes < 1.25 * before.rss_bytes
    assert after.threads <= before.threads + 2


def test_a_long_run_grows_nothing(bench):
    """27: soak"""
    bench.publish(bench.scale.soak)
    bench.poison(10)
    bench.settle()
    before = bench.writer.usage()
    for _ in range(3):
        bench.publish(bench.scale.soak)
        bench.poison(10)
        bench.settle()
    after = bench.writer.usage()
    assert after.threads <= before.threads + 2
    assert after.descriptors <= before.descriptors + 2
    assert after.rss_bytes < 1.1 * before.rss_bytes


def test_after_idling_the_first_message_succeeds(bench):
    """28: connections that died while idle, then a burst"""
    bench.publish(10)
    bench.poison(1)
    bench.settle()
    for dead in (bench.storage, bench.pubsub):
        dead.stop()
        dead.start()
    bench.broker.answers.clear()
    bench.publish(1)
    bench.settle()
    assert bench.broker.answers == {204: 1}
    bench.publish(bench.scale.messages)
    bench.poison(5)
    bench.settle()
    assert set(bench.broker.answers) == {204}


def test_a_writer_without_a_disk_writes_everything(bench):
    """30: disk full, nowhere to write"""
    bench.writer.kill()
    wrapper = (sys.executable, "-c", NO_FILES)
    bench.writer.start(wrapper=wrapper, TMPDIR="/nonexistent", HOME="/nonexistent")
    bench.publish(bench.scale.messages)
    bench.poison(5)
    # Werkzeug would put a long body aside in a file.
    bench.broker.publish(SNAPSHOTS, snapshot_of(2_000_000))
    outcome = bench.settle()
    assert outcome.reasons == ["not_json"] * 5
    assert len(bench.rows("feed_snapshots")) == 1
