"""Leaks are found, noise is not."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from mlopt.soak.verdicts import GROWTH_LIMIT, MIB, judge_counters, judge_handles, judge_memory, theil_sen


def samples(seconds, leak_mib_per_hour, rng, noise=1.0, interval=1.0):
    """Memory that settles in the first minutes, is restarted now and then, and wobbles like an allocator does."""
    times = np.arange(0, seconds, interval)
    memory = 400 - 60 * np.exp(-times / 30) + leak_mib_per_hour * times / 3600
    wobble = np.zeros(len(times))
    for i in range(1, len(times)):  # neighbouring samples depend on each other
        wobble[i] = 0.95 * wobble[i - 1] + rng.normal(0, 0.3 * noise)
    memory = memory + wobble - np.where(rng.random(len(times)) < 0.02, 60, 0)
    return times, memory * MIB


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("hours", [0.25, 1, 24])
def test_leak_of_a_mib_a_minute_is_found(hours, seed):
    interval = max(1.0, hours * 3600 / 5000)
    times, memory = samples(hours * 3600, 60, np.random.default_rng(seed), interval=interval)
    verdict = judge_memory("x", times, memory)
    assert not verdict.held
    assert verdict.value == pytest.approx(60, rel=0.5 if hours < 1 else 0.1)


@pytest.mark.parametrize("seconds", [3, 60, 3600])
def test_verdicts_can_be_written_to_files(seconds):
    times, memory = samples(seconds, 0, np.random.default_rng(0))
    for verdict in (judge_memory("x", times, memory), judge_handles("x", "descriptors", times, np.ones(seconds))):
        assert json.loads(json.dumps(asdict(verdict))) == asdict(verdict)


@pytest.mark.parametrize("hours", [1, 24])
def test_noise_is_no_leak(hours):
    interval = max(1.0, hours * 3600 / 5000)
    verdicts = [
        judge_memory("x", *samples(hours * 3600, 0, np.random.default_rng(seed), interval=interval))
        for seed in range(50)
    ]
    assert sum(not verdict.held for verdict in verdicts) <= 2


def test_small_leak_over_a_day_is_found():
    times, memory = samples(24 * 3600, 2, np.random.default_rng(3), interval=17.28)
    assert not judge_memory("x", times, memory).held


@pytest.mark.parametrize("growth", [-30, 0, 0.5 * GROWTH_LIMIT])
def test_short_run_that_settles(growth):
    times = np.linspace(0, 60, 60)
    memory = (300 + growth * (times > 40)) * MIB
    memory[:15] = np.linspace(50, 300, 15) * MIB  # starting is no leak
    assert judge_memory("x", times, memory).held


def test_short_run_that_leaks():
    times = np.linspace(0, 10, 40)
    verdict = judge_memory("x", times, (100 + 8 * times) * MIB)
    assert not verdict.held
    assert verdict.value == pytest.approx(40, rel=0.1)


def test_short_run_with_processes_that_are_away():
    times = np.linspace(0, 6, 30)
    together = np.where(times < 4, 150, 200) * MIB
    assert not judge_memory("x", times, together).held
    assert judge_memory("x", times, together, np.full(30, 50 * MIB)).held
    assert not judge_memory("x", times, together, (50 + 20 * times) * MIB).held


def test_missing_samples_are_left_out_and_too_few_do_not_pass():
    times = np.arange(100.0)
    memory = np.full(100, 50 * MIB)
    memory[::3] = np.nan
    assert judge_memory("x", times, memory).held
    assert not judge_memory("x", times, np.where(times < 5, memory, np.nan)).held
    assert not judge_handles("x", "threads", times[:4], times[:4]).held


def test_handles():
    times = np.arange(100.0)
    assert judge_handles("x", "descriptors", times, np.full(100, 40.0)).held
    assert not judge_handles("x", "descriptors", times, times).held


def test_slope_is_robust_and_its_interval_covers():
    rng = np.random.default_rng(1)
    times = np.arange(200.0)
    covered = 0
    for _ in range(200):
        values = 3 * times + rng.normal(0, 5, 200)
        values[rng.integers(0, 200, 20)] = -1e6
        slope = theil_sen(times, values)
        assert abs(slope.value - 3) < 0.1
        covered += slope.low <= 3 <= slope.high
    assert covered >= 180


def test_slope_of_a_constant_is_zero():
    slope = theil_sen(np.arange(50.0), np.full(50, 7.0))
    assert (slope.value, slope.low, slope.high) == (0, 0, 0)
    with pytest.raises(ValueError, match="at least 3"):
        theil_sen(np.arange(2.0), np.arange(2.0))


def test_counters():
    (fine,) = judge_counters("x", {"records": 10, "bad": 3}, [])
    assert fine.held
    bad = judge_counters("x", {"records": 10, "lost": 1, "wrong": 2}, ["record 7: 1 is not 2"])
    assert [verdict.held for verdict in bad] == [False, False]
    assert "record 7" in bad[0].words
