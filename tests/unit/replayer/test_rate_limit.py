import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmp_replayer.rate_limit import RateLimit
from tests.fakes.clock import Clock


def taken(clock, rate, batches, work_s=0.0, oversleeps_s=0.0):
    """Seconds that the batches took."""
    limit = RateLimit(rate, monotonic=clock, sleep=lambda seconds: clock.sleep(seconds + oversleeps_s))
    began = clock.now_s
    for batch in batches:
        for _ in limit.take(batch):
            pass
        clock.now_s += work_s
    return clock.now_s - began


@pytest.mark.parametrize("rate", [0.5, 7, 100, 2500])
@pytest.mark.parametrize("oversleeps_s", [0.0, 0.004])
def test_the_rate_is_kept_within_three_per_cent(rate, oversleeps_s):
    size = max(1, min(100, int(rate / 2)))
    batches = [size] * max(1, int(rate * 60 / size))
    seconds = taken(Clock(), rate, batches, 0.4 * size / rate, oversleeps_s)
    assert sum(batches) / seconds == pytest.approx(rate, rel=0.03)


@given(st.floats(0.5, 5000), st.lists(st.integers(1, 100), min_size=1, max_size=50), st.floats(0, 0.3))
def test_the_rate_is_never_exceeded(rate, batches, work_s):
    assert taken(Clock(), rate, batches, work_s) >= sum(batches) / rate * 0.999


def test_a_long_pause_causes_no_burst_and_a_long_wait_yields_every_second():
    clock = Clock()
    limit = RateLimit(10, monotonic=clock, sleep=clock.sleep)
    clock.now_s += 3600
    began = clock.now_s
    for _ in range(30):
        list(limit.take(1))
    assert clock.now_s - began == pytest.approx(2.0)
    began = clock.now_s
    limit = RateLimit(0.1, monotonic=clock, sleep=clock.sleep)
    assert [clock.now_s - began for _ in limit.take(1)] == pytest.approx(range(1, 11))
