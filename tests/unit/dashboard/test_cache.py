"""A bounded single-flight cache."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pmp_dashboard.cache import Cache, CacheFull
from tests.fakes.clock import Clock


class Source:
    """Returns how often it was loaded; with `is_open=False`, each load waits for the gate.

    Attributes:
        fail: raise LookupError instead of returning.
    """

    def __init__(self, *, is_open=True, fail=False):
        self.loads, self.fail = 0, fail
        self.gate, self.began = threading.Event(), threading.Event()
        if is_open:
            self.gate.set()

    def __call__(self):
        self.loads += 1
        self.began.set()
        assert self.gate.wait(20)
        if self.fail:
            raise LookupError("no")
        return self.loads


def in_parallel(cache, source, callers):
    """The futures of callers that came while the first load was running."""
    with ThreadPoolExecutor(callers) as pool:
        first = pool.submit(cache.get, "key", 10.0, source)
        assert source.began.wait(20)
        others = [pool.submit(cache.get, "key", 10.0, source) for _ in range(callers - 1)]
        source.gate.set()
    return [first, *others]


def test_a_value_is_returned_until_it_expires():
    clock, source = Clock(), Source()
    cache = Cache(room=1, monotonic=clock)
    found = []
    for clock.now_s in (100.0, 109.9, 110.0, 119.9, 120.0):
        found.append(cache.get("key", 10.0, source))
    assert found == [1, 1, 2, 2, 3]


def test_concurrent_callers_wait_for_the_same_load():
    source = Source(is_open=False)
    assert [caller.result() for caller in in_parallel(Cache(room=2), source, 8)] == [1] * 8
    assert source.loads == 1


def test_a_failure_goes_to_all_callers_and_is_not_cached():
    cache, source = Cache(room=2), Source(is_open=False, fail=True)
    for caller in in_parallel(cache, source, 3):
        with pytest.raises(LookupError):
            caller.result()
    assert cache.get("key", 10.0, lambda: "better") == "better"


@pytest.mark.parametrize("room", [1, 2])
def test_another_key_does_not_wait_and_needs_room_of_its_own(room):
    cache, slow, quick = Cache(room=room), Source(is_open=False, fail=True), Source()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cache.get, "slow", 10.0, slow)
        assert slow.began.wait(20)
        if room == 2:
            assert cache.get("quick", 10.0, quick) == 1
        else:
            with pytest.raises(CacheFull):
                cache.get("quick", 10.0, quick)
        slow.gate.set()
        with pytest.raises(LookupError):
            waiting.result(20)
    assert cache.get("quick", 10.0, quick) == 1


def test_a_fresh_value_is_never_evicted():
    clock, sources = Clock(), {name: Source() for name in "abc"}
    cache = Cache(room=2, monotonic=clock)
    cache.get("a", 10.0, sources["a"])
    cache.get("b", 20.0, sources["b"])
    with pytest.raises(CacheFull):
        cache.get("c", 10.0, sources["c"])
    assert cache.get("a", 10.0, sources["a"]) == 1
    clock.now_s += 10.0
    assert cache.get("c", 10.0, sources["c"]) == 1
    with pytest.raises(CacheFull):
        cache.get("a", 10.0, sources["a"])
    assert {name: source.loads for name, source in sources.items()} == {"a": 1, "b": 1, "c": 1}
