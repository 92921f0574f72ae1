"""Measurement, with clocks that are told the time."""

import gc

import pytest

from mlopt.targets.measure import Rounds, Spread, calibrate, calls, latencies, paired


class Clock:
    """Seconds that pass only where the test says so."""

    def __init__(self):
        self.now = 0.0
        self.speed = 1.0

    def __call__(self):
        return self.now

    def work(self, seconds):
        def function():
            self.now += seconds * self.speed

        return function


def test_calls_time_what_ran():
    clock = Clock()
    assert calls(clock.work(0.25), clock)(4) == pytest.approx(1.0)


def test_ratio_is_taken_pair_by_pair():
    clock = Clock()
    fast, speeds = calls(clock.work(1e-3), clock), [1.0, 2.0, 5.0, 0.5]

    def drifting(count):  # the machine changes its speed before every round
        speeds.append(speeds.pop(0))
        clock.speed = speeds[0]
        return fast(count)

    slow = calls(clock.work(3e-3), clock)
    rounds = paired({"a": drifting, "b": slow}, 100, clock=clock, batch_seconds=1e-9, max_rounds=40)
    assert rounds.ratio("b", of="a") == Spread(pytest.approx(3.0), pytest.approx(3.0), pytest.approx(3.0), 40)
    assert rounds.seconds("a").high > 1.5 * rounds.seconds("a").low


def test_alternatives_take_turns():
    clock, order = Clock(), []

    def alternative(name):
        def batch(count):
            order.append(name)
            clock.now += count * 1e-3
            return count * 1e-3

        return batch

    paired({"a": alternative("a"), "b": alternative("b")}, 1.0, clock=clock, max_rounds=5, batch_seconds=1e-3)
    assert order[-8:] == ["a", "b"] * 4


def test_calibration_reaches_the_batch_time():
    clock = Clock()
    assert 3000 <= calibrate(calls(clock.work(1e-6), clock), 3e-3) <= 4500
    clock.now = 0
    assert calibrate(calls(clock.work(2.0), clock), 3e-3) == 1
    assert clock.now == 2.0  # so slow a call is not made twice


def test_calibration_survives_a_clock_without_resolution():
    assert calibrate(lambda count: 0.0 if count < 100 else 1.0, 1e-3) >= 100


def test_slow_alternative_sits_out_after_its_share():
    clock = Clock()
    work = {"fast": calls(clock.work(0.01), clock), "slow": calls(clock.work(10.0), clock)}
    rounds = paired(work, 1.0, clock=clock, min_rounds=6)
    assert (len(rounds.samples["slow"]), len(rounds.samples["fast"])) == (3, 6)
    assert rounds.ratio("slow", of="fast").median == pytest.approx(1000)


def test_collector_is_off_while_measuring_and_back_after():
    seen = []

    def batch(count):
        seen.append(gc.isenabled())
        return 1.0

    assert gc.isenabled()
    paired({"a": batch}, 0.0, min_rounds=1)
    assert seen
    assert not any(seen)
    assert gc.isenabled()


def test_rates_and_units():
    rounds = Rounds({"a": (1.0, 2.0, 4.0)})
    assert rounds.rate("a", 8.0).median == 4.0
    assert rounds.seconds("a").scaled(1000).median == 2000
    assert Spread.of([2.0]) == Spread(2.0, 2.0, 2.0, 1)


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="samples is empty"):
        Spread.of([])
    with pytest.raises(ValueError, match="alternatives is empty"):
        paired({})
    for low, high in ((0, 5), (6, 5)):
        with pytest.raises(ValueError, match="min_rounds"):
            paired({"a": lambda count: 1.0}, min_rounds=low, max_rounds=high)
    with pytest.raises(ValueError, match="count"):
        latencies(lambda: None, 0)


def test_latencies_take_the_clock_off():
    now, durations = [0], iter([100] * 1000 + [100] * 500 + [5000] + [100] * 1499)

    def clock():
        now[0] += 20
        return now[0]

    def function():
        now[0] += next(durations)

    times = latencies(function, 2000, clock)
    assert times.clock_overhead == pytest.approx(20e-9)
    assert times.median == times.p99 == pytest.approx(100e-9)
    assert times.worst == pytest.approx(5000e-9)
