"""The features kernels on every tier: against the textbook, over long streams, against each other, at memory's edge."""

import numpy as np
import pytest
from features.measure import errors, random_bars, relative, scale
from features.textbook import textbook
from guard import guarded
from kernels.feature_streams import (
    are_apart,
    groups_of,
    history,
    memory_of,
    plan_of,
    put_state,
    state_bytes,
    symbols,
    take_state,
    update,
)

from mlopt._kernels.register import Kernel, available_tiers
from mlopt.features import FAMILIES
from mlopt.features.definitions import parse_feature
from mlopt.features.families import DEFAULT_FEATURES
from mlopt.features.layout import history_words, symbols_words

BOUND = 1e-11
# every kind of step at its shortest, two series of the caller's among them
COLUMNS = ("spread", "depth")
SHORT = (
    "sma_1", "sma_3", "wma_2", "std_2", "ema_2", "kama_2", "hull_4", "sar", "adx_2", "lag_1", "max_1", "min_7(volume)",
    "aroon_up_2", "cci_3", "skew_3", "rank_2", "correlation_2", "beta_3(spread,close)", "position_5(spread)", "obv",
    "zscore_4(depth)", "log_return_2", "yang_zhang_2", "mfi_2", "stoch_rsi_d_2_2_2", "chaikin_oscillator_2_3",
)  # fmt: skip


def own_columns(bars, seed=0):
    """Bars with two columns of the caller's behind them, of either sign."""
    return np.hstack([bars, np.random.default_rng(seed).standard_normal((len(bars), 2)) * [1.0, 1e3]])


def stream(tier, names, bars):
    plan = plan_of(names)
    return update(tier, plan, bars, memory_of(plan))


def families_of(period, inputs=()):
    """Every family with periods about the given one, with other series than its own where it takes as many."""
    names = []
    for family in FAMILIES.values():
        if family.name == "sar" or not family.periods or (inputs and len(family.inputs) != len(inputs)):
            continue
        periods = [max(family.minimum, n) for n in (period, 2 * period + 1, period // 2 + 1)][: len(family.periods)]
        names.append("_".join(map(str, [family.name, *periods])) + (f"({','.join(inputs)})" if inputs else ""))
    return names


def assert_bounded(worst, bound=BOUND):
    assert max(worst.values()) < bound, sorted(worst.items(), key=lambda item: -item[1])[:8]


# --- the textbook --------------------------------------------------------------------------------


@pytest.mark.parametrize("price", [1e-8, 1.0, 1e8])
def test_default_set_is_the_textbook(tier, price):
    bars = random_bars(1500, seed=1, price=price)
    assert_bounded(errors(DEFAULT_FEATURES, stream(tier, DEFAULT_FEATURES, bars), bars))


@pytest.mark.parametrize("period", [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 200])
def test_every_period(tier, period):
    bars = random_bars(8 * period + 40, seed=period)
    for inputs in ((), ("volume",), ("close", "volume")):
        names = families_of(period, inputs)
        assert_bounded(errors(names, stream(tier, names, bars), bars))


def test_own_columns(tier):
    bars = own_columns(random_bars(500, seed=12))
    names = [*families_of(9, ("spread",)), *families_of(9, ("depth", "spread")), *SHORT]
    plan = plan_of(names, COLUMNS)
    assert_bounded(errors(names, update(tier, plan, bars, memory_of(plan)), bars, COLUMNS))


@pytest.mark.parametrize(("acceleration", "maximum"), [(2, 20), (1, 10), (5, 50), (30, 20), (100, 100)])
def test_parabolic_stop(tier, acceleration, maximum):
    bars, names = random_bars(3000, seed=9), [f"sar_{acceleration}_{maximum}"]
    assert_bounded(errors(names, stream(tier, names, bars), bars))


def test_no_drift_over_a_long_stream(tier):
    names = [*DEFAULT_FEATURES, "wma_200", "std_200", "kama_50", "trend_correlation_200"]
    bars = random_bars(10_000 if tier == "reference" else 50_000, seed=2)
    plan = plan_of(names)
    assert_bounded(errors(names, history(tier, plan, bars, memory_of(plan)), bars))


@pytest.mark.slow
def test_no_drift_over_a_million_bars():
    bars = random_bars(1_000_000, seed=13)
    for first in range(0, len(DEFAULT_FEATURES), 10):  # so many columns are 80 MB
        names = DEFAULT_FEATURES[first : first + 10]
        plan = plan_of(names)
        assert_bounded(errors(names, history(available_tiers()[-1], plan, bars, memory_of(plan)), bars), 1e-9)


def test_a_spike_leaves_nothing_behind(tier):
    bars = random_bars(400, seed=3)
    bars[100, [1, 4]] = 1e14, 1e30  # high and volume
    bars[101, :4] *= 1e10
    bars[200:, :4] = bars[200, 0]  # a price that stands still has no deviation at all
    names = [
        "sma_20", "wma_20", "trima_20", "hull_16", "std_20", "zscore_20", "slope_20", "trend_correlation_20", "skew_20",
        "kurtosis_20", "correlation_20", "beta_20", "rank_20", "position_20", "donchian_upper_20", "aroon_up_20",
        "stoch_d_14", "ultimate_5_10_20", "parkinson_20", "garman_klass_20", "yang_zhang_20", "vwap_20", "mfi_14",
        "chaikin_money_flow_20", "volume_sma_20", "volume_zscore_20", "cci_20",
    ]  # fmt: skip
    out = stream(tier, names, bars)
    settled = slice(145, 200)
    for name, column in zip(names, out.T, strict=True):
        expected = textbook(name, bars)[settled]
        size = np.broadcast_to(scale(name, parse_feature(name).family.unit, bars[145 - 44 :]), 299)[44:99]
        worst = relative(np.abs(column[settled] - expected), np.maximum(np.abs(expected), size))
        assert np.max(worst) < BOUND, (name, np.max(worst))
    for name in ("std_20", "zscore_20", "trend_correlation_20", "skew_20", "kurtosis_20", "correlation_20", "beta_20"):
        assert np.all(out[260:, names.index(name)] == 0), name


def test_a_spike_is_gone_when_it_leaves_the_window(tier):
    """At once: sums keep what a number ten digits larger than the others hides of them."""
    bars = random_bars(400, seed=17)
    bars[107, :4] *= 1e10
    bars[107, 4] = 1e17 / 3
    names = [
        "sma_20", "sma_20(typical)", "wma_20", "slope_19", "std_20", "zscore_20", "vwap_20", "mfi_19", "volume_sma_20",
        "volume_zscore_20",
        "ultimate_5_10_18", "correlation_20", "skew_20",
    ]  # fmt: skip
    out = stream(tier, names, bars)[127:]
    for name, column in zip(names, out.T, strict=True):
        expected = textbook(name, bars)[127:]
        size = np.broadcast_to(scale(name, parse_feature(name).family.unit, bars[108:]), 292)[19:]
        worst = np.max(relative(np.abs(column - expected), np.maximum(np.abs(expected), size)))
        assert worst < BOUND, (name, worst)


def test_flat_prices(tier):
    """Standing still: from the first bar on, and after a while of movement."""
    moving = random_bars(700, seed=10)
    moving[200:500, :4] = moving[200, 3]
    still = np.tile([3.7, 3.7, 3.7, 3.7, 0.1], (300, 1))
    for bars in (moving, still):
        table = stream(tier, DEFAULT_FEATURES, bars)
        assert_bounded(errors(DEFAULT_FEATURES, table, bars))
    exact = ("std_20", "zscore_20", "skew_20", "kurtosis_20", "correlation_20", "trend_correlation_20", "cci_20")
    for name in (*exact, "close_location", "return_1", "volume_zscore_20", "parkinson_20", "bollinger_width_20"):
        assert np.all(table[50:, DEFAULT_FEATURES.index(name)] == 0), name
    assert np.all(table[50:, DEFAULT_FEATURES.index("rank_20")] == 10.5 / 20)


def test_deviation_after_a_jump_of_level(tier):
    """A level 1e6 higher with movements of 1e-6 of it: sums about the old level would lose everything."""
    bars = random_bars(300, seed=4, flat=0)
    rng = np.random.default_rng(4)
    bars[150:, :4] = 1e8 * (1 + 1e-6 * rng.random((150, 1)))
    names = ["std_20", "std_100", "zscore_20"]
    out = stream(tier, names, bars)
    for name, column, from_bar in zip(names, out.T, (171, 251, 171), strict=True):
        expected = textbook(name, bars)[from_bar:]
        np.testing.assert_allclose(column[from_bar:], expected, rtol=1e-8, atol=1e-9, err_msg=name)


def test_no_spurious_values_while_warming_up(tier):
    """Short histories give NaN exactly where the textbook has none, also for one bar."""
    for count in (1, 2, 5, 26, 34):
        bars = random_bars(count, seed=count)
        assert_bounded(errors(DEFAULT_FEATURES, stream(tier, DEFAULT_FEATURES, bars), bars))


def test_windows_of_zeros_are_empty(tier):
    """Sums of a window that holds nothing but zeros are exactly 0: a quotient of two of them is 0, not noise."""
    bars = random_bars(200, seed=8, flat=0)
    bars[:, 4] *= 10.0 ** np.random.default_rng(8).uniform(-40, 40, 200)  # their sums lose some, and keep others
    bars[105:, 4] = 0
    windows = {"mfi_14": 14, "vwap_20": 20, "volume_sma_33": 33, "volume_ratio_20": 20, "chaikin_money_flow_20": 20}
    for (name, n), column in zip(windows.items(), stream(tier, list(windows), bars).T, strict=True):
        assert np.all(column[104 + n :] == 0), name


# --- one plan, three kernels ---------------------------------------------------------------------


@pytest.mark.parametrize("names", [SHORT, DEFAULT_FEATURES], ids=["short", "default"])
@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 127, 128, 129, 300])
def test_history_is_streaming(tier, count, names):
    """The same bits, those of the state after the last bar among them; from the first bar on, and from the 45th."""
    plan, bars = plan_of(names, COLUMNS), own_columns(random_bars(45 + count, seed=14))
    for begin in (0, 45):
        one, other = memory_of(plan), memory_of(plan)
        first = update(tier, plan, bars[:begin], one)
        np.testing.assert_array_equal(history(tier, plan, bars[:begin], other), first)
        streamed = update(tier, plan, bars[begin : begin + count], one)
        np.testing.assert_array_equal(history(tier, plan, bars[begin : begin + count], other), streamed)
        assert state_bytes(plan, one) == state_bytes(plan, other)


@pytest.mark.parametrize("names", [SHORT, DEFAULT_FEATURES], ids=["short", "default"])
def test_history_in_pieces(tier, names):
    plan, bars = plan_of(names, COLUMNS), own_columns(random_bars(1000, seed=15))
    one, other = memory_of(plan), memory_of(plan)
    streamed, rows, at = update(tier, plan, bars, one), [], 0
    for length in (1, 13, 3, 129, 8, 255, 7, 64, 257, 9, 254):
        rows.append(history(tier, plan, bars[at : at + length], other))
        at += length
    assert at == len(bars)
    np.testing.assert_array_equal(np.concatenate(rows), streamed)
    assert state_bytes(plan, one) == state_bytes(plan, other)


def many_bars(count, of, seed):
    """(count, of, 7): bars of as many symbols, at prices far apart."""
    each = [own_columns(random_bars(count, seed + s, price=10.0 ** (s % 7 - 3)), seed + s) for s in range(of)]
    return np.stack(each, axis=1)


@pytest.mark.parametrize("names", [SHORT, DEFAULT_FEATURES], ids=["short", "default"])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 17])
@pytest.mark.parametrize("together", [True, False], ids=["together", "apart"])
def test_symbols_are_streaming(tier, count, names, together):
    """Each symbol gets the bits that it would get alone, and keeps its state and row where it does not tick."""
    plan, bars = plan_of(names, COLUMNS), many_bars(320, count, 20)
    ticking = None if together else (np.random.default_rng(count).random((320, count)) < 0.7).astype(np.uint8)
    if not together:
        ticking[60:90] = 1  # symbols that have seen different numbers of bars, all ticking
        ticking[:, 0] = 1
    groups = groups_of(plan, count)
    table = symbols(tier, plan, bars, groups, ticking)
    for s in range(count):
        ticks = slice(None) if together else ticking[:, s] != 0
        memory = memory_of(plan)
        np.testing.assert_array_equal(table[ticks, s], update(tier, plan, bars[ticks, s], memory))
        assert take_state(plan, groups, s).tobytes() == state_bytes(plan, memory), s
        if not together:
            assert np.isnan(table[~ticks, s]).all()


def test_symbols_get_in_step_again(tier):
    """A group lies apart once a symbol sits out, and together again after enough bars of all; by clocks of its own."""
    count, bars = 11, many_bars(400, 11, 40)
    plan, ticking = plan_of(SHORT, COLUMNS), np.ones((400, 11), np.uint8)
    for s in range(8):
        ticking[20 + s, s] = 0
    ticking[150, :3] = ticking[151, 10] = 0
    ticking[300:310, 4] = 0
    groups = groups_of(plan, count)
    layouts, tables = [], []
    for first in range(0, 400, 10):
        part = slice(first, first + 10)
        tables.append(symbols(tier, plan, bars[part], groups, ticking[part]))
        layouts.append(are_apart(plan, groups))
    table = np.concatenate(tables)
    for s in range(count):
        ticks, memory = ticking[:, s] != 0, memory_of(plan)
        np.testing.assert_array_equal(table[ticks, s], update(tier, plan, bars[ticks, s], memory))
        assert take_state(plan, groups, s).tobytes() == state_bytes(plan, memory)
    if tier != "reference":  # which knows no layouts of its own
        first, second = zip(*layouts, strict=True)
        assert [i for i in range(1, 40) if first[i] != first[i - 1]] == [2, 3, 30, 31]
        assert [i for i in range(1, 40) if second[i] != second[i - 1]] == [15, 16]


def pieces(tiers, plan, bars, seed):
    """A stream whose state goes from kernel to kernel and from tier to tier after every few bars."""
    rng = np.random.default_rng(seed)
    memory, rows, at = memory_of(plan), [], 0
    while at < len(bars):
        some, tier = bars[at : at + rng.integers(1, 60)], tiers[rng.integers(len(tiers))]
        way = rng.integers(3)
        if way == 2:
            groups, place = groups_of(plan, 11), int(rng.integers(11))
            put_state(plan, groups, place, memory)
            ticking = np.zeros((len(some), 11), np.uint8)
            ticking[:, place] = 1
            rows.append(symbols(tier, plan, np.repeat(some[:, np.newaxis], 11, axis=1), groups, ticking)[:, place])
            memory = memory_of(plan, take_state(plan, groups, place))
        else:
            rows.append((update, history)[way](tier, plan, some, memory))
            memory = memory_of(plan, memory)
        at += len(some)
    return np.concatenate(rows), memory


@pytest.mark.parametrize("seed", [0, 1])
def test_states_move_between_kernels(tier, seed):
    plan, bars = plan_of([*SHORT, *DEFAULT_FEATURES], COLUMNS), own_columns(random_bars(900, seed=16))
    memory = memory_of(plan)
    table, moved = pieces([tier], plan, bars, seed)
    np.testing.assert_array_equal(table, update(tier, plan, bars, memory))
    assert state_bytes(plan, moved) == state_bytes(plan, memory)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_tiers_may_change_in_mid_stream(seed):
    bars = own_columns(random_bars(900, seed=5))
    names = [*DEFAULT_FEATURES, *SHORT, "std_3", "wma_50", "donchian_upper_100"]
    table, _ = pieces(available_tiers(), plan_of(names, COLUMNS), bars, seed)
    assert_bounded(errors(names, table, bars, COLUMNS))


def test_the_plan_is_constant_and_the_state_movable(tier):
    """A copy of the bytes, anywhere, continues with the same bits."""
    bars, plan = random_bars(300, seed=7), plan_of(DEFAULT_FEATURES)
    words = plan.words.copy()
    expected = update(tier, plan, bars, memory_of(plan))
    memory = memory_of(plan)
    update(tier, plan, bars[:211], memory)
    moved = memory_of(plan, memory)
    memory[:] = np.nan
    np.testing.assert_array_equal(update(tier, plan, bars[211:], moved), expected[211:])
    np.testing.assert_array_equal(plan.words, words)


# --- memory --------------------------------------------------------------------------------------


def sets_of_features():
    full_vector = [f"log_return_{n}" for n in range(1, 9)]
    return [*(DEFAULT_FEATURES[-n:] for n in (1, 2, 3, 7, 8, 9, 15, 17)), full_vector, SHORT, DEFAULT_FEATURES]


def at_the_edge(count):
    """Undefined memory of whole vectors, as allocated, that ends at an unreadable page."""
    return guarded(np.full(-(-count // 8) * 8, np.nan))


def leading(shape):
    """Memory for out, at the edge, and the words before it, which nothing may touch."""
    whole = guarded(np.full(3 + int(np.prod(shape)), -1.5))
    return whole[:3], whole[3:].reshape(shape)


@pytest.mark.parametrize("names", sets_of_features(), ids=len)
def test_memory_bounds(tier, names):
    """Plan, state, bars, out and workspace each end at an unreadable page; nothing before out is touched."""
    plan = plan_of(names, COLUMNS)
    words, bars = guarded(plan.words), own_columns(random_bars(150, seed=6))
    expected = update(tier, plan, bars, memory_of(plan))

    kernel, memory = Kernel("features_update", "f64", tier), guarded(memory_of(plan))
    for bar, row in zip(bars[:60], expected, strict=False):
        before, out = leading(row.shape)
        kernel((0,), words, memory, guarded(bar), out)
        np.testing.assert_array_equal(out, row)
        assert np.all(before == -1.5)

    kernel, memory = Kernel("features_history", "f64", tier), guarded(memory_of(plan))
    before, out = leading(expected.shape)
    kernel((len(bars),), words, memory, guarded(bars), out, at_the_edge(history_words(plan.words)))
    np.testing.assert_array_equal(out, expected)
    assert np.all(before == -1.5)


@pytest.mark.parametrize("names", sets_of_features(), ids=len)
@pytest.mark.parametrize("count", [1, 3, 8, 9])
def test_memory_bounds_of_symbols(tier, count, names):
    plan, bars = plan_of(names, COLUMNS), many_bars(40, count, 60)
    ticking = np.ones((40, count), np.uint8)
    ticking[20:] = np.random.default_rng(count).random((20, count)) < 0.5
    expected = symbols(tier, plan, bars, groups_of(plan, count), ticking)
    kernel, words, groups = Kernel("features_symbols", "f64", tier), guarded(plan.words), groups_of(plan, count)
    groups, workspace = guarded(groups), at_the_edge(symbols_words(plan.words))
    for t in range(40):
        columns = [guarded(column) for column in bars[t].T]
        before, out = leading((count, len(names)))
        addresses = guarded(np.array([column.ctypes.data for column in columns], np.uintp))
        kernel((count,), words, groups, addresses, guarded(ticking[t]), out, workspace)
        for s in range(count):
            np.testing.assert_array_equal(out[s], expected[t, s] if ticking[t, s] else np.full(len(names), -1.5))
        assert np.all(before == -1.5)
