"""The features kernel on every tier: against the textbook, over long streams, at memory's edge, across tiers."""

import numpy as np
import pytest
from features.textbook import random_bars, scale, textbook
from guard import guarded

from mlopt._kernels.register import Kernel, available_tiers
from mlopt.features.definitions import DEFAULT_FEATURES, parse_feature
from mlopt.features.plan import compile_plan, empty_words


def stream(tier, names, bars, plan=None, state=None):
    """The kernel's outputs, one row a bar, and the state after the last."""
    plan = plan or compile_plan([parse_feature(name).value for name in names])
    kernel = Kernel("features_update", "f64", tier)
    if state is None:
        state = empty_words(len(plan.initial))
        state[:] = plan.initial
    out = np.empty((len(bars), len(names)))
    for bar, row in zip(np.ascontiguousarray(bars), out, strict=True):
        kernel((0,), plan.words, state, bar, row)
    return out, state


def errors(names, actual, bars):
    """The largest relative error of each feature; a NaN in one alone is infinite."""
    worst = {}
    for name, column in zip(names, actual.T, strict=True):
        expected = textbook(name, bars)
        missing = np.isnan(expected)
        np.testing.assert_array_equal(np.isnan(column), missing, err_msg=name)
        size = np.maximum(np.abs(expected), scale(name, parse_feature(name).family.unit, bars))
        worst[name] = np.max(np.where(missing, 0, np.abs(column - expected) / size), initial=0)
    return worst


@pytest.mark.parametrize("price", [1e-8, 1.0, 1e8])
def test_default_set_is_the_textbook(tier, price):
    bars = random_bars(1500, seed=1, price=price)
    worst = errors(DEFAULT_FEATURES, stream(tier, DEFAULT_FEATURES, bars)[0], bars)
    assert max(worst.values()) < 1e-11, sorted(worst.items(), key=lambda item: -item[1])[:5]


@pytest.mark.parametrize("period", [1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 63, 64, 65, 100])
def test_every_period(tier, period):
    families = ["sma", "ema", "wma", "return", "donchian_upper", "donchian_lower", "mfi", "cci", "std", "rsi", "vwap"]
    names = [f"{f}_{period}" for f in families if period > 1 or f not in ("mfi", "cci", "std", "rsi")]
    bars = random_bars(3 * period + 5, seed=period)
    worst = errors(names, stream(tier, names, bars)[0], bars)
    assert max(worst.values()) < 1e-11, worst


def test_no_drift_over_a_long_stream(tier):
    names = [n for n in DEFAULT_FEATURES if not n.startswith("ema")] + ["ema_200", "wma_200"]
    bars = random_bars(20_000 if tier == "reference" else 100_000, seed=2)
    worst = errors(names, stream(tier, names, bars)[0], bars)
    assert max(worst.values()) < 1e-11, sorted(worst.items(), key=lambda item: -item[1])[:5]


def test_a_spike_leaves_nothing_behind(tier):
    bars = random_bars(400, seed=3)
    bars[100, [1, 4]] = 1e14, 1e30  # high and volume
    bars[101, :4] *= 1e10
    bars[200:, :4] = bars[200, 0]  # a price that stands still has no deviation at all
    names = ["sma_20", "wma_20", "std_20", "zscore_20", "vwap_20", "volume_sma_20", "volume_zscore_20", "cci_20"]
    out, _ = stream(tier, names, bars)
    settled = slice(145, 200)
    for name, column in zip(names, out.T, strict=True):
        expected = textbook(name, bars)[settled]
        size = np.broadcast_to(scale(name, parse_feature(name).family.unit, bars), 400)[settled]
        size = np.maximum(np.abs(expected), size)
        assert np.max(np.abs(column[settled] - expected) / size) < 1e-11, name
    assert np.all(out[260:, names.index("std_20")] == 0)
    assert np.all(out[260:, names.index("zscore_20")] == 0)


def test_deviation_after_a_jump_of_level(tier):
    """A level 1e6 higher with movements of 1e-6 of it: sums about the old level would lose everything."""
    bars = random_bars(300, seed=4, flat=0)
    rng = np.random.default_rng(4)
    bars[150:, :4] = 1e8 * (1 + 1e-6 * rng.random((150, 1)))
    names = ["std_20", "std_100", "zscore_20"]
    out, _ = stream(tier, names, bars)
    for name, column, from_bar in zip(names, out.T, (171, 251, 171), strict=True):
        expected = textbook(name, bars)[from_bar:]
        np.testing.assert_allclose(column[from_bar:], expected, rtol=1e-8, atol=1e-9, err_msg=name)


def test_tiers_may_change_in_mid_stream():
    bars = random_bars(900, seed=5)
    names = [*DEFAULT_FEATURES, "std_3", "wma_50", "donchian_upper_100"]
    plan = compile_plan([parse_feature(name).value for name in names])
    tiers = available_tiers()
    rows, state = [], None
    for part, start in enumerate(range(0, len(bars), 37)):
        out, state = stream(tiers[part % len(tiers)], names, bars[start : start + 37], plan, state)
        rows.append(out)
    worst = errors(names, np.concatenate(rows), bars)
    assert max(worst.values()) < 1e-11, worst


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 15, 17, len(DEFAULT_FEATURES)])
def test_memory_bounds(tier, count):
    """Plan, state, bar and out each end at an unreadable page; nothing before out is touched."""
    names = DEFAULT_FEATURES[-count:]
    plan = compile_plan([parse_feature(name).value for name in names])
    words, state = guarded(plan.words), guarded(plan.initial)
    kernel = Kernel("features_update", "f64", tier)
    bars = random_bars(60, seed=6)
    expected, _ = stream(tier, names, bars, plan)
    for bar, row in zip(bars, expected, strict=True):
        out = guarded(np.full(count + 3, -1.5))
        kernel((0,), words, state, guarded(bar), out[3:])
        np.testing.assert_array_equal(out[3:], row)
        assert np.all(out[:3] == -1.5)


def test_the_plan_is_constant_and_the_state_movable(tier):
    """A copy of the bytes, anywhere, continues with the same bits."""
    bars = random_bars(300, seed=7)
    plan = compile_plan([parse_feature(name).value for name in DEFAULT_FEATURES])
    words = plan.words.copy()
    expected, _ = stream(tier, DEFAULT_FEATURES, bars, plan)
    _, state = stream(tier, DEFAULT_FEATURES, bars[:211], plan)
    moved = empty_words(len(state))
    moved[:] = state
    state[:] = np.nan
    np.testing.assert_array_equal(stream(tier, DEFAULT_FEATURES, bars[211:], plan, moved)[0], expected[211:])
    np.testing.assert_array_equal(plan.words, words)


def test_no_spurious_values_while_warming_up(tier):
    """Short histories give NaN exactly where the textbook has none, also for one bar."""
    for count in (1, 2, 5, 26, 34):
        bars = random_bars(count, seed=count)
        errors(DEFAULT_FEATURES, stream(tier, DEFAULT_FEATURES, bars)[0], bars)


def test_windows_of_zeros_are_empty(tier):
    """Sums of a window that holds nothing but zeros are exactly 0: a quotient of two of them is 0, not noise."""
    bars = random_bars(200, seed=8, flat=0)
    bars[100:, 4] = 0
    out, _ = stream(tier, ["mfi_14", "vwap_20", "volume_sma_33", "volume_ratio_20"], bars)
    assert np.all(out[140:] == 0)
