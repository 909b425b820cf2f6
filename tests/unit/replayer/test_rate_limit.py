import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmp_replayer.rate_limit import RateLimit
from tests.fakes.clock import Clock


class SlowClock(Clock):
    """Sleeps a little longer than asked for."""

    def __init__(self, oversleeps_s):
        super().__init__()
        self.oversleeps_s = oversleeps_s

    def sleep(self, seconds):
        super().sleep(seconds + self.oversleeps_s)


def taken(clock, rate, batches, work_s=0.0):
    """Seconds that the batches took."""
    began, bucket = clock.now_s, RateLimit(rate, monotonic=clock, sleep=clock.sleep)
    for batch in batches:
        for _ in bucket.take(batch):
            pass
        clock.now_s += work_s
    return clock.now_s - began


@pytest.mark.parametrize("rate", [0.5, 7, 100, 2500])
@pytest.mark.parametrize("oversleeps_s", [0.0, 0.004])
def test_the_rate_is_kept_within_three_per_cent(rate, oversleeps_s):
    size = max(1, min(100, int(rate / 2)))
    batches = [size] * max(1, int(rate * 60 / size))
    seconds = taken(SlowClock(oversleeps_s), rate, batches, work_s=0.4 * size / rate)
    assert sum(batches) / seconds == pytest.approx(rate, rel=0.03)


@given(st.floats(0.5, 5000), st.lists(st.integers(1, 100), min_size=1, max_size=50), st.floats(0, 0.3))
def test_no_more_letters_leave_than_the_rate_allows(rate, batches, work_s):
    assert taken(Clock(), rate, batches, work_s) >= sum(batches) / rate * 0.999


def test_time_lost_is_made_up_for_but_a_long_pause_is_no_reason_for_a_burst():
    clock = Clock()
    bucket = RateLimit(10, monotonic=clock, sleep=clock.sleep)
    clock.now_s += 3600
    began = clock.now_s
    for _ in range(30):
        list(bucket.take(1))
    assert clock.now_s - began == pytest.approx(2.0)


def test_a_long_wait_lets_others_act_every_second():
    clock = Clock()
    bucket = RateLimit(0.1, monotonic=clock, sleep=clock.sleep)
    seen = [clock.now_s for _ in bucket.take(1)]
    assert seen == [1000.0 + second for second in range(1, 11)]
