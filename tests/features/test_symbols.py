"""Many symbols at once: each as from an extractor of its own, whoever ticks."""

import pickle

import numpy as np
import pytest
from features.measure import random_bars

import mlopt
from mlopt.features import Combination, FeatureExtractor

NAMES = [
    "sma_5", "ema_4", "wma_5", "std_4", "zscore_7", "rsi_3", "stoch_d_3_2_2", "donchian_upper_5", "donchian_lower_9",
    "cci_4", "mfi_3", "vwap_4", "obv", "return_2", "kama_4", "sar", "adx_3", "aroon_up_5", "skew_5", "kurtosis_6",
    "rank_6", "correlation_5", "beta_4", "yang_zhang_5", "hull_6", "ichimoku_span_b_6_3",
]  # fmt: skip


@pytest.fixture(params=mlopt.available_tiers())
def tier(request):
    with mlopt.use_isa(request.param):
        yield request.param


def histories(symbols, count, **options):
    return np.stack([random_bars(count, seed=100 + s, **options) for s in range(symbols)], axis=1)


def fields_of(bars):
    return [np.ascontiguousarray(column) for column in bars.T]


def same(a, b):
    return np.array_equal(a, b, equal_nan=True)


@pytest.mark.parametrize("symbols", [2, 7, 8, 9, 16, 17, 33, 41])
def test_each_symbol_as_from_its_own_extractor(symbols, tier):
    bars = histories(symbols, 60)
    together, alone = FeatureExtractor(NAMES, symbols), [FeatureExtractor(NAMES) for _ in range(symbols)]
    for now in bars:
        table = together.update(*fields_of(now))
        assert table.shape == (symbols, len(NAMES))
        for s in range(symbols):
            assert same(table[s], alone[s].update(*now[s]))
    for s in range(symbols):
        assert together.get_state(s) == alone[s].get_state()
        assert together.verify(s) < 1e-9
    assert together.bars_seen.tolist() == [60] * symbols
    assert together.is_ready.all()


def test_default_set_of_many_symbols():
    bars = histories(10, 230)
    together, alone = FeatureExtractor(symbols=10), FeatureExtractor()
    for now in bars:
        table = together.update(*fields_of(now))
        row = alone.update(*now[6])
    assert same(table[6], row)
    assert together.state_bytes <= 64 * 1024


@pytest.mark.parametrize("symbols", [3, 8, 19])
def test_some_symbols_tick(symbols, tier):
    rng = np.random.default_rng(symbols)
    bars = histories(symbols, 80)
    together, alone = FeatureExtractor(NAMES, symbols), [FeatureExtractor(NAMES) for _ in range(symbols)]
    rows = np.full((symbols, len(NAMES)), np.nan)
    for t, now in enumerate(bars):
        where = np.ones(symbols, bool) if t < 15 or t > 70 else rng.random(symbols) < 0.4
        given = now.copy()
        given[~where] = np.nan  # is not looked at
        table = together.update(*fields_of(given), where=where)
        for s in np.flatnonzero(where):
            rows[s] = alone[s].update(*now[s])
        assert same(table, rows)
    assert together.bars_seen.tolist() == [each.bars_seen for each in alone]
    for s in range(symbols):
        assert together.get_state(s) == alone[s].get_state()


def test_one_aligned_read_only_array():
    extractor = FeatureExtractor(["sma_2", "obv"], symbols=3)
    now = fields_of(histories(3, 1)[0])
    first = extractor.update(*now)
    assert extractor.update(*now) is first
    assert first.flags.c_contiguous
    assert first.ctypes.data % 64 == 0
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0


@pytest.mark.parametrize("on_bad", ["raise", "skip", "hold"])
def test_bad_bar_of_one_symbol(on_bad):
    bars = histories(4, 20)
    extractor = FeatureExtractor(["sma_2", "ema_3", "obv"], 4, on_bad=on_bad)
    alone = [FeatureExtractor(["sma_2", "ema_3", "obv"]) for _ in range(4)]
    for now in bars[:10]:
        table = extractor.update(*fields_of(now)).copy()
        for s in range(4):
            alone[s].update(*now[s])
    before = extractor.get_state()
    bad = bars[10].copy()
    bad[2, 1] = bad[2, 2] / 2
    if on_bad == "raise":
        with pytest.raises(ValueError, match="symbol 2: high must not be below low"):
            extractor.update(*fields_of(bad))
        assert extractor.get_state() == before
        return
    result = extractor.update(*fields_of(bad))
    for s in (0, 1, 3):
        assert same(result[s], alone[s].update(*bad[s]))
    assert same(result[2], np.full(3, np.nan) if on_bad == "skip" else table[2])
    assert extractor.bars_seen.tolist() == [11, 11, 10, 11]
    assert extractor.verify(2) < 1e-12
    assert extractor.get_state(2) == alone[2].get_state()
    restored = pickle.loads(pickle.dumps(extractor))
    assert restored.get_state(2) == alone[2].get_state()
    for now in bars[11:]:
        table = extractor.update(*fields_of(now))
        for s in range(4):
            assert same(table[s], alone[s].update(*now[s]))
    assert extractor.verify(2) < 1e-12


def test_peek_of_many_leaves_the_state(tier):
    bars = histories(9, 30)
    extractor = FeatureExtractor(NAMES, 9)
    for t, now in enumerate(bars):
        where = None if t % 2 else np.arange(9) % 3 != t % 3
        before = extractor.get_state()
        peeked = extractor.peek(*fields_of(now), where=where).copy()
        assert extractor.get_state() == before
        assert same(extractor.update(*fields_of(now), where=where), peeked)


def test_history_of_many(tier):
    bars = histories(5, 300)
    extractor = FeatureExtractor(NAMES, 5)
    table = extractor.transform(bars)
    assert table.shape == (300, 5, len(NAMES))
    for s in range(5):
        assert same(table[:, s], FeatureExtractor(NAMES).transform(bars[:, s]))
    assert (extractor.bars_seen == 0).all()
    assert extractor.warm_up(bars[:170]) is extractor
    for now, row in zip(bars[170:], table[170:], strict=True):
        assert same(extractor.update(*fields_of(now)), row)


def test_states_move_between_one_and_many():
    bars = histories(11, 50)
    many, single = FeatureExtractor(NAMES, 11), FeatureExtractor(NAMES)
    for now in bars[:25]:
        many.update(*fields_of(now))
        single.update(*now[4])
    single.set_state(many.get_state(7))
    many.set_state(single.get_state(), symbol=3)
    bars[25:, 3] = bars[25:, 7]
    for now in bars[25:]:
        table = many.update(*fields_of(now))
        assert same(table[3], table[7])
        assert same(table[3], single.update(*now[7]))


def test_state_and_pickle_of_many(tier):
    bars = histories(9, 40)
    extractor = FeatureExtractor(NAMES, 9)
    for t, now in enumerate(bars[:20]):
        extractor.update(*fields_of(now), where=np.arange(9) <= t)
    other = pickle.loads(pickle.dumps(extractor))
    assert other.symbols == 9
    for now in bars[20:]:
        assert same(other.update(*fields_of(now)), extractor.update(*fields_of(now)))
    extractor.reset()
    assert (extractor.bars_seen == 0).all()
    assert extractor.get_state() == FeatureExtractor(NAMES, 9).get_state()


def test_tiers_may_change_while_symbols_stream():
    tiers = mlopt.available_tiers()
    bars = histories(6, 60)
    extractor, other = FeatureExtractor(NAMES, 6), FeatureExtractor(NAMES, 6)
    for t, now in enumerate(bars):
        with mlopt.use_isa(tiers[t % len(tiers)]):
            table = extractor.update(*fields_of(now))
        with mlopt.use_isa("reference"):
            expected = other.update(*fields_of(now))
        np.testing.assert_allclose(table, expected, rtol=1e-9, atol=1e-9)


def test_bad_arguments_of_many():
    extractor = FeatureExtractor(["sma_2"], symbols=3)
    now = fields_of(histories(3, 1)[0])
    for arguments, options, error, message in (
        ((*now[:4], now[4][:2]), {}, ValueError, r"volume must have shape \(3,\).*not \(2,\)"),
        ((*now[:4], "volume"), {}, TypeError, "volume must be numbers"),
        ((*now, now[0]), {}, TypeError, "1 columns behind its volume, expected 0: none"),
        (now, {"where": [True, False]}, ValueError, r"where must be an array of bool of shape \(3,\)"),
        (now, {"where": np.ones(3)}, ValueError, "where must be an array of bool"),
        (now, {"timestamp": [1, 2]}, ValueError, r"timestamp must be one, or have shape \(3,\)"),
    ):
        before = extractor.get_state()
        with pytest.raises(error, match=message):
            extractor.update(*arguments, **options)
        assert extractor.get_state() == before
    for symbol, error in ((3, ValueError), (-1, ValueError), ("AAPL", TypeError), (True, TypeError)):
        with pytest.raises(error, match="symbol must be"):
            extractor.get_state(symbol)
    with pytest.raises(ValueError, match=r"bars must have shape \(n, 3, 5\)"):
        extractor.transform(np.ones((4, 5)))
    with pytest.raises(ValueError, match="state is of 3 symbols, expected 1"):
        FeatureExtractor(["sma_2"]).set_state(extractor.get_state())
    with pytest.raises(ValueError, match="where is for extractors of several symbols"):
        FeatureExtractor(["sma_2"]).update(1, 1, 1, 1, 1, where=[True])
    for symbols in (0, -2, 1 << 25):
        with pytest.raises(ValueError, match="symbols must be from 1"):
            FeatureExtractor(symbols=symbols)


def test_strided_and_integer_input():
    bars = np.round(histories(4, 30, volatility=0.05))
    extractor, other = FeatureExtractor(["sma_3", "atr_3"], 4), FeatureExtractor(["sma_3", "atr_3"], 4)
    for now in bars:
        assert same(extractor.update(*now.T), other.update(*now.T.astype(np.int64).tolist()))


def test_columns_and_combinations_of_many():
    rng = np.random.default_rng(1)
    names = [
        "sma_3(funding)",
        Combination("spread", {"sma_2": 1, "lag_1(funding)": -0.5}),
        "correlation_4(close,funding)",
    ]
    bars, funding = histories(9, 30), rng.standard_normal((30, 9))
    many = FeatureExtractor(names, 9, columns=["funding"])
    alone = FeatureExtractor(names, columns=["funding"])
    for now, more in zip(bars, funding, strict=True):
        table = many.update(*fields_of(now), more)
        assert same(table[5], alone.update(*now[5], more[5]))
    assert many.verify(5) < 1e-12
    assert many.get_state(5) == alone.get_state()
