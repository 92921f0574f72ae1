"""The public extractor: names, streaming, history, peeking, state, bad bars; parity with TA-Lib."""

import copy
import pickle
import struct
import threading
import zlib

import numpy as np
import pytest
from features.measure import errors, random_bars, relative, scale
from features.talib_parity import ends_with, talib_columns, talib_scale
from features.textbook import first_bar, textbook
from hypothesis import given, settings
from hypothesis import strategies as st

import mlopt
from mlopt.features import DEFAULT_FEATURES, FAMILIES, Bars, FeatureExtractor
from mlopt.features.definitions import parse_feature
from mlopt.features.extractor import STATE

BARS = random_bars(400, seed=11)


@pytest.fixture(params=mlopt.available_tiers())
def tier(request):
    with mlopt.use_isa(request.param):
        yield request.param


def stream(extractor, bars):
    return np.array([extractor.update(*bar).copy() for bar in bars]).reshape(-1, len(extractor.names))


def same(a, b):
    return np.array_equal(a, b, equal_nan=True)


def test_default_set():
    extractor = FeatureExtractor()
    assert extractor.names == DEFAULT_FEATURES
    assert len(extractor.names) == len(set(extractor.names)) >= 130
    assert extractor.lookback == 199
    assert extractor.state_bytes <= 64 * 1024
    assert {parse_feature(name).family.name for name in extractor.names} == set(FAMILIES)


def test_ready_after_the_lookback():
    extractor = FeatureExtractor()
    for t, bar in enumerate(BARS):
        vector = extractor.update(*bar)
        assert extractor.bars_seen == t + 1
        assert extractor.is_ready == (t >= extractor.lookback) == (not np.isnan(vector).any())
    for name in extractor.names:
        alone = FeatureExtractor([name])
        column = alone.transform(BARS)[:, 0]
        assert np.isnan(column[: alone.lookback]).all(), name
        assert not np.isnan(column[alone.lookback :]).any(), name


def test_update_returns_one_read_only_aligned_view():
    extractor = FeatureExtractor()
    first = extractor.update(*BARS[0])
    second = extractor.update(open=BARS[1, 0], high=BARS[1, 1], low=BARS[1, 2], close=BARS[1, 3], volume=BARS[1, 4])
    assert first is second
    assert first.dtype == np.float64
    assert first.shape == (130,)
    assert first.ctypes.data % 64 == 0
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0


def test_order_and_sharing_do_not_change_a_feature():
    whole = FeatureExtractor().transform(BARS)
    backwards = FeatureExtractor(DEFAULT_FEATURES[::-1]).transform(BARS)
    np.testing.assert_allclose(backwards[:, ::-1], whole, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(
        FeatureExtractor(["macd"]).transform(BARS)[:, 0], whole[:, DEFAULT_FEATURES.index("macd")]
    )


@pytest.mark.parametrize(
    ("name", "same_as"),
    [
        ("macd", "macd_12_26_9"),
        ("stoch_k_14", "stoch_k_14_3_3"),
        ("stoch_d_5_3", "stoch_d_5_3_3"),
        ("macd_26_12", "macd"),
    ],
)
def test_defaults_of_periods(name, same_as):
    assert same(FeatureExtractor([name]).transform(BARS), FeatureExtractor([same_as]).transform(BARS))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (["sma"], "0 periods, 'sma' takes 1"),
        (["sma_1_2"], "2 periods, 'sma' takes 1"),
        (["macd_1_2_3_4"], "4 periods, 'macd' takes 0 to 3"),
        (["sma_0"], "from 1 to 10000"),
        (["std_1"], "from 2 to 10000"),
        (["sma_10001"], "from 1 to 10000"),
        (["SMA_20"], "no feature 'SMA_20'"),
        (["frobnicate_3"], "no feature 'frobnicate_3'; the families are return, log_return"),
        (["sma_-3"], "no feature"),
        (["sma_5", "ema_5", "sma_5"], "'sma_5' is there twice"),
        ([], "at least one"),
        ("all", "'default' or a list"),
    ],
)
def test_bad_names(features, message):
    with pytest.raises(ValueError, match=message):
        FeatureExtractor(features)


def test_bad_arguments():
    with pytest.raises(ValueError, match="symbols must be from 1 to 16777216, not 0"):
        FeatureExtractor(symbols=0)
    with pytest.raises(TypeError, match="symbols must be an integer"):
        FeatureExtractor(symbols="AAPL")
    with pytest.raises(TypeError, match="a name must be a string, not int"):
        FeatureExtractor([20])
    with pytest.raises(ValueError, match="on_bad must be"):
        FeatureExtractor(on_bad="ignore")
    with pytest.raises(TypeError):
        FeatureExtractor().update(1, 2, 3)


# --- history -------------------------------------------------------------------------------------


def test_transform_is_streaming_bit_for_bit(tier):
    extractor = FeatureExtractor()
    streamed = stream(extractor, BARS)
    before = extractor.get_state()
    table = extractor.transform(BARS)
    assert same(table, streamed)
    assert extractor.get_state() == before
    assert table.shape == (400, 130)
    assert table.ctypes.data % 64 == 0


def frames():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    names = ("open", "high", "low", "close", "volume")
    columns = dict(zip(names, BARS.T, strict=True))
    shuffled = {name.title(): columns[name].copy() for name in ("volume", "close", "open", "low", "high")}
    return {
        "list": BARS.tolist(),
        "fortran": np.asfortranarray(BARS),
        "strided": np.repeat(BARS, 2, axis=0)[::2],
        "Bars": Bars(*BARS.T),
        "dict": shuffled,
        "pandas": pandas.DataFrame({"Date": np.arange(400), **shuffled, "Adj Close": 1.0}),
        "polars": polars.DataFrame({"symbol": ["A"] * 400, **shuffled}),
    }


@pytest.mark.parametrize("form", ["list", "fortran", "strided", "Bars", "dict", "pandas", "polars"])
def test_forms_of_history(form):
    extractor = FeatureExtractor()
    assert same(extractor.transform(frames()[form]), extractor.transform(BARS))


@pytest.mark.parametrize(
    ("bars", "error", "message"),
    [
        (np.ones((3, 4)), ValueError, r"shape \(n, 5\).*not \(3, 4\)"),
        (np.ones(5), ValueError, r"shape \(n, 5\)"),
        ([["a"] * 5], TypeError, "array of numbers"),
        ({"open": [1.0], "high": [1.0], "low": [1.0], "close": [1.0]}, ValueError, "no column 'volume'"),
        (
            {"open": [1.0], "high": [1.0], "low": [1.0], "close": [1.0], "volume": [1.0, 2.0]},
            ValueError,
            "'volume' has shape",
        ),
        (
            {"open": [1.0], "high": [1.0], "low": [1.0], "close": ["x"], "volume": [1.0]},
            TypeError,
            "'close' must be numbers",
        ),
        (
            {"OPEN": [1.0], "Open": [1.0], "high": [1.0], "low": [1.0], "close": [1.0], "volume": [1]},
            ValueError,
            "both read as 'open'",
        ),
    ],
)
def test_bad_history(bars, error, message):
    with pytest.raises(error, match=message):
        FeatureExtractor().transform(bars)


def test_empty_history():
    extractor = FeatureExtractor()
    assert extractor.transform(np.empty((0, 5))).shape == (0, 130)
    assert extractor.warm_up(np.empty((0, 5))).bars_seen == 0


def test_warm_up_is_streaming(tier):
    one, other = FeatureExtractor(), FeatureExtractor()
    stream(one, BARS[:250])
    assert other.warm_up(BARS[:100]).warm_up(BARS[100:250]) is other
    assert one.get_state() == other.get_state()
    assert same(stream(one, BARS[250:]), stream(other, BARS[250:]))


# --- peek, state, verification -------------------------------------------------------------------


def test_peek_leaves_the_state(tier):
    extractor = FeatureExtractor()
    for bar in BARS:
        before = extractor.get_state()
        peeked = extractor.peek(*bar).copy()
        assert extractor.get_state() == before
        assert same(extractor.update(*bar), peeked)
    assert extractor.peek(*BARS[0]) is extractor.peek(*BARS[1])
    assert extractor.peek(*BARS[0]) is not extractor.update(*BARS[1])


@pytest.mark.parametrize("at", [0, 1, 13, 20, 33, 199, 200, 300])
def test_state_continues_bit_for_bit(at, tier):
    extractor = FeatureExtractor(on_bad="hold")
    stream(extractor, BARS[:at])
    state = extractor.get_state()
    others = [pickle.loads(pickle.dumps(extractor)), copy.deepcopy(extractor), FeatureExtractor()]
    others[2].set_state(state)
    assert others[0].on_bad == "hold"
    expected = stream(extractor, BARS[at:])
    for other in others:
        assert other.get_state() == state
        assert same(other.update(*BARS[at]), expected[0])
        assert same(stream(other, BARS[at + 1 :]), expected[1:])


def test_bad_state_changes_nothing():
    extractor = FeatureExtractor(["sma_3", "ema_3"])
    stream(extractor, BARS[:10])
    good = extractor.get_state()
    other_set = FeatureExtractor(["sma_4", "ema_3"]).get_state()
    flipped = bytearray(good)
    flipped[100] ^= 1
    cases = {
        "not what FeatureExtractor.get_state returns": [b"", b"abc", b"x" * 200],
        "of other features": [other_set],
        "bytes behind its header": [good[:-8], good + b"\0" * 8],
        "checksum": [bytes(flipped)],
        "version 1, expected 2": [good[:4] + (1).to_bytes(4, "little") + good[8:]],
    }
    for message, states in cases.items():
        for state in states:
            with pytest.raises(ValueError, match=message):
                extractor.set_state(state)
            assert extractor.get_state() == good
    with pytest.raises(TypeError):
        extractor.set_state("text")


@given(st.binary(max_size=3000), st.integers(0, 2999))
@settings(deadline=None, max_examples=50)
def test_no_state_crashes(noise, at):
    """Whatever passes the checksum is numbers only: it cannot reach outside the state."""
    extractor = FeatureExtractor(["sma_3", "macd", "std_5", "donchian_upper_9", "cci_4", "obv", "stoch_d_3"])
    state = bytearray(extractor.get_state())
    header = STATE.header.size
    at = header + at % (len(state) - header)
    noise = noise[: len(state) - at]
    state[at : at + len(noise)] = noise
    struct.pack_into("<I", state, header - 4, zlib.crc32(state[header:]))
    try:
        extractor.set_state(bytes(state))
    except ValueError:
        return
    stream(extractor, BARS[:20])


def test_reset():
    extractor = FeatureExtractor()
    fresh = extractor.get_state()
    first = stream(extractor, BARS)
    extractor.reset()
    assert extractor.get_state() == fresh
    assert same(stream(extractor, BARS), first)


def test_verify(tier):
    extractor = FeatureExtractor()
    with pytest.raises(ValueError, match="no bar was streamed"):
        extractor.verify()
    for bar in BARS:
        extractor.update(*bar)
        state = extractor.get_state()
        assert extractor.verify() < 1e-12
        assert extractor.get_state() == state


def test_verify_notices_a_wrong_sum():
    extractor = FeatureExtractor(["sma_20", "std_20", "donchian_upper_20"])
    stream(extractor, BARS[:50])
    header = STATE.header.size
    state = bytearray(extractor.get_state())
    words = np.frombuffer(memoryview(state)[header:], np.float64)
    assert extractor.verify() < 1e-13
    noticed = 0
    for word in range(24, len(words) - 3):
        saved = words[word]
        if not np.isfinite(saved) or saved == 0:
            continue
        words[word] *= 1 + 1e-6
        struct.pack_into("<I", state, header - 4, zlib.crc32(state[header:]))
        extractor.set_state(state)
        extractor.update(*BARS[50])
        noticed += extractor.verify() > 1e-9
        words[word] = saved
    assert noticed >= 2  # the carried sums of the mean and of the moments at least


def test_tier_follows_the_context_bar_by_bar():
    tiers = mlopt.available_tiers()
    extractor, rows = FeatureExtractor(), []
    for t, bar in enumerate(BARS):
        with mlopt.use_isa(tiers[t % len(tiers)]):
            rows.append(extractor.update(*bar).copy())
    with mlopt.use_isa("reference"):
        expected = FeatureExtractor().transform(BARS)
    np.testing.assert_allclose(np.array(rows), expected, rtol=1e-10, atol=1e-10)


def test_extractors_in_threads():
    expected, results = FeatureExtractor().transform(BARS), [None] * 4

    def work(i):
        extractor = FeatureExtractor()
        results[i] = [same(extractor.transform(BARS), expected) and same(stream(extractor, BARS), expected)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[True]] * 4


# --- bad bars ------------------------------------------------------------------------------------

GOOD = (10.0, 12.0, 9.0, 11.0, 1000.0)
BAD = [
    ((np.nan, 12, 9, 11, 1), "open must be a positive number.*not nan"),
    ((10, np.inf, 9, 11, 1), "high must be a positive number.*not inf"),
    ((10, 12, 0.0, 11, 1), "low must be a positive number.*not 0.0"),
    ((10, 12, 9, -11, 1), "close must be a positive number.*not -11"),
    ((10, 1e101, 9, 11, 1), "high must be a positive number"),
    ((10, 12, 9, 11, -1), "volume must be 0 or a positive number.*not -1"),
    ((10, 12, 9, 11, np.nan), "volume must be 0 or a positive number.*not nan"),
    ((10, 9, 12, 11, 1), "high must not be below low, but high=9.0 and low=12.0"),
    ((13, 12, 9, 11, 1), "open must lie between low=9.0 and high=12.0, not 13.0"),
    ((10, 12, 9, 8, 1), "close must lie between low=9.0 and high=12.0, not 8.0"),
]


@pytest.mark.parametrize(("bar", "message"), BAD)
@pytest.mark.parametrize("at", [0, 1, 30])
def test_bad_bar_leaves_the_state(bar, message, at):
    for on_bad in ("raise", "skip", "hold"):
        extractor = FeatureExtractor(["sma_2", "ema_3", "obv"], on_bad=on_bad)
        held = None
        for _ in range(at):
            held = extractor.update(*GOOD).copy()
        before = extractor.get_state()
        for call in (extractor.update, extractor.peek):
            if on_bad == "raise":
                with pytest.raises(ValueError, match=message):
                    call(*bar)
            elif on_bad == "skip":
                assert call(*bar) is None
            else:
                assert same(call(*bar), np.full(3, np.nan) if held is None else held)
        assert extractor.get_state() == before


def test_bad_bars_in_a_history():
    bars = BARS[:60].copy()
    bars[[0, 25, 59], 3] = np.nan
    good = ~np.isnan(bars[:, 3])
    names = ["sma_5", "typical_price"]
    extractor = FeatureExtractor(names)
    with pytest.raises(ValueError, match="bars: bar 0: close must be a positive number"):
        extractor.transform(bars)
    with pytest.raises(ValueError, match="bars: bar 24: close"):
        extractor.warm_up(bars[1:])
    assert extractor.bars_seen == 0
    expected = extractor.transform(bars[good])
    skipped = FeatureExtractor(names, on_bad="skip").transform(bars)
    assert same(skipped[good], expected)
    assert np.isnan(skipped[~good]).all()
    held = FeatureExtractor(names, on_bad="hold").transform(bars)
    assert same(held[good], expected)
    assert np.isnan(held[0]).all()
    assert same(held[25], held[24])
    assert same(held[59], held[58])
    for on_bad in ("skip", "hold"):
        warmed, streamed = FeatureExtractor(names, on_bad=on_bad), FeatureExtractor(names, on_bad=on_bad)
        warmed.warm_up(bars)
        for bar in bars:
            streamed.update(*bar)
        assert warmed.get_state() == streamed.get_state()


# --- hypothesis: any stream ----------------------------------------------------------------------


@st.composite
def bar_streams(draw):
    """Any good bars: prices over the whole range, standing still, jumping; volumes with zeros."""
    count = draw(st.integers(1, 25))
    price = 10.0 ** draw(st.integers(-8, 8))
    moves = st.one_of(st.just(1.0), st.floats(0.5, 2.0))
    rows = []
    for _ in range(count):
        price = min(max(price * draw(moves), 1e-12), 1e12)
        low, high = price / draw(moves.map(lambda x: max(x, 1.0))), price * draw(moves.map(lambda x: max(x, 1.0)))
        opening = draw(st.sampled_from([low, high, price]))
        volume = draw(st.one_of(st.just(0.0), st.integers(0, 10**12).map(float)))
        rows.append((opening, high, low, price, volume))
    return np.array(rows)


SMALL = [
    "sma_3",
    "ema_4",
    "wma_5",
    "std_4",
    "zscore_7",
    "rsi_3",
    "stoch_d_3_2_2",
    "williams_r_4",
    "donchian_upper_5",
    "donchian_lower_9",
    "cci_4",
    "mfi_3",
    "atr_3",
    "vwap_4",
    "obv",
    "return_2",
    "parkinson_3",
    "hull_5",
    "tema_2",
    "kama_3",
    "adx_2",
    "ultimate_2_3_4",
    "aroon_up_4",
    "rank_5",
    "lag_3",
    "min_3(volume)",
    "chaikin_oscillator_2_3",
]


@given(bar_streams())
@settings(deadline=None, max_examples=40)
def test_any_stream(bars):
    extractor = FeatureExtractor(SMALL)
    streamed = stream(extractor, bars)
    assert extractor.verify() < 1e-9
    assert not np.isinf(streamed).any()
    assert same(extractor.transform(bars), streamed)
    assert np.isnan(streamed[extractor.lookback :]).sum() == 0
    for name in ("sma_3", "tema_2", "kama_3", "donchian_upper_5", "donchian_lower_9", "atr_3", "return_2", "lag_3"):
        expected, actual = textbook(name, bars), streamed[:, SMALL.index(name)]
        # a return is a quotient less 1; the others are of the size of the prices so far
        natural = 1.0 if name == "return_2" else np.maximum.accumulate(bars[:, 1])
        size = np.maximum(np.abs(expected), natural)
        np.testing.assert_array_less(np.nan_to_num(np.abs(actual - expected) / size), 1e-12, err_msg=name)
    for name in ("aroon_up_4", "rank_5", "min_3(volume)", "donchian_upper_5"):
        np.testing.assert_allclose(streamed[:, SMALL.index(name)], textbook(name, bars), rtol=1e-15, err_msg=name)


# --- by hand ------------------------------------------------------------------------------------


def column(name, bars):
    return FeatureExtractor([name]).transform(bars)[:, 0]


def bars_of(high, low, close):
    high, low, close = (np.array(x, float) for x in (high, low, close))
    return np.stack([close, high, low, close, np.ones(len(close))], axis=1)


def test_kama_by_hand(tier):
    close = [10, 12, 11, 14, 14, 14]
    slowest = 2 / 31
    # |X - X[2]| / (|X - X'| + |X' - X''|): 1 / 3, 2 / 4, 3 / 3, and 1 where nothing moved
    weights = [((2 / 3 - slowest) * e + slowest) ** 2 for e in (1 / 3, 1 / 2, 1, 1)]
    assert weights[0] == pytest.approx((74 / 279) ** 2)
    expected = [np.nan, np.nan]
    last = 12.0
    for x, weight in zip(close[2:], weights, strict=True):
        last += weight * (x - last)
        expected.append(last)
    np.testing.assert_allclose(column("kama_2", bars_of(close, close, close)), expected, rtol=1e-14)


def test_directional_movement_by_hand(tier):
    bars = bars_of([10, 12, 11, 9, 13, 14], [8, 9, 7, 6, 8, 11], [9, 11, 8, 9, 12, 13])
    # of bars 1 to 5: up 2 0 0 4 1, down 0 2 1 0 0, true range 3 4 3 5 3; Wilder's sums of two halve before each step
    up, down, span = [1, 0.5, 4.25, 3.125], [2, 2, 1, 0.5], [5.5, 5.75, 7.875, 6.9375]
    missing = [np.nan] * 2
    dx = [100 / 3, 60, 100 * 3.25 / 5.25, 100 * 2.625 / 3.625]
    adx = [np.nan, (dx[0] + dx[1]) / 2]
    adx += [(adx[1] + dx[2]) / 2]
    adx += [(adx[2] + dx[3]) / 2]
    adxr = [np.nan, np.nan, (adx[2] + adx[1]) / 2, (adx[3] + adx[2]) / 2]
    for name, expected in {
        "plus_di_2": 100 * np.divide(up, span),
        "minus_di_2": 100 * np.divide(down, span),
        "dx_2": dx,
        "adx_2": adx,
        "adxr_2": adxr,
    }.items():
        np.testing.assert_allclose(column(name, bars), [*missing, *expected], rtol=1e-14, err_msg=name)


def test_parabolic_stop_by_hand(tier):
    high = np.array([10, 12, 13, 14, 13, 12, 13.5, 15])
    low = np.array([8, 9, 10, 12, 9.5, 9, 9.5, 12])
    # long from 8; raised by a tenth, then a fifth of the way to the highest, at most to the lows of two bars; short
    # from 14 where the low of bar 4 is under the stop of 10; long again where the high of bar 6 is over that of 13
    expected = np.array([np.nan, 8, 8.4, 9, 14, 14, 9, 9])
    np.testing.assert_allclose(column("sar_10_20", bars_of(high, low, low)), expected, rtol=1e-14)
    np.testing.assert_allclose(column("sar_10_20", bars_of(20 - low, 20 - high, 20 - high)), 20 - expected, rtol=1e-14)


def test_aroon_by_hand(tier):
    bars = bars_of([5, 7, 7, 6, 6, 6, 9], [4, 3, 3, 5, 4, 4, 8], [4, 5, 5, 5, 5, 5, 8])
    # of equal extremes, the latest: the highs of bars 2, 2, 2 and 6, the lows of bars 2, 2, 2 and 5
    np.testing.assert_allclose(column("aroon_up_3", bars)[3:], 100 * (3 - np.array([1, 2, 3, 0])) / 3, atol=1e-13)
    np.testing.assert_allclose(column("aroon_down_3", bars)[3:], 100 * (3 - np.array([1, 2, 3, 1])) / 3, atol=1e-13)


# --- real bars, TA-Lib, pandas ------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_bars():
    pytest.importorskip("arch")
    from mlopt.features import sample_bars

    return sample_bars().as_array()


def test_real_bars_are_the_textbook(real_bars, tier):
    worst = errors(DEFAULT_FEATURES, FeatureExtractor().transform(real_bars), real_bars)
    assert max(worst.values()) < 1e-11, sorted(worst.items(), key=lambda item: -item[1])[:8]


def talib_errors(bars):
    """The largest error of each feature that TA-Lib has; both must begin at the same bar."""
    columns, worst = talib_columns(bars), {}
    extractor = FeatureExtractor(list(columns))
    table = dict(zip(columns, extractor.transform(bars).T, strict=True))
    for name, expected in columns.items():
        begin = first_bar(expected)
        assert parse_feature(ends_with(name) or name).lookback == begin, name
        actual, expected = table[name][begin:], expected[begin:]
        size = np.maximum(np.abs(expected), np.broadcast_to(talib_scale(name, bars), len(bars))[begin:])
        worst[name] = np.max(relative(np.abs(actual - expected), size))
    return worst


@pytest.mark.peer
def test_talib(real_bars):
    worst = talib_errors(real_bars)
    assert {parse_feature(n).family.name for n in worst} == {f.name for f in FAMILIES.values() if f.talib}
    assert max(worst.values()) < 1e-9, sorted(worst.items(), key=lambda item: -item[1])[:8]


@pytest.mark.peer
@pytest.mark.parametrize("flat", [0.02, 0.3, 0.8])
def test_talib_where_bars_stand_still(flat):
    """What is divided by nothing is what TA-Lib says it is."""
    worst = talib_errors(random_bars(4000, seed=5, flat=flat))
    assert max(worst.values()) < 1e-9, sorted(worst.items(), key=lambda item: -item[1])[:8]


@pytest.mark.peer
def test_pandas_rolling(real_bars):
    pandas = pytest.importorskip("pandas")
    high, low, close, volume = (pandas.Series(real_bars[:, i]) for i in (1, 2, 3, 4))
    expected = {}
    for n in (5, 20, 33, 100):
        expected |= {
            f"sma_{n}": close.rolling(n).mean(),
            f"std_{n}": close.rolling(n).std(ddof=0),
            f"min_{n}": close.rolling(n).min(),
            f"max_{n}": close.rolling(n).max(),
            f"sma_{n}(volume)": volume.rolling(n).mean(),
            f"return_{n}": close.pct_change(n),
            f"momentum_{n}": close.diff(n),
            f"lag_{n}": close.shift(n),
            f"rank_{n}": close.rolling(n).rank(pct=True),
            f"rank_{n}(volume)": volume.rolling(n).rank(pct=True),
            f"skew_{n}": close.rolling(n).skew(),
            f"kurtosis_{n}": close.rolling(n).kurt(),
            f"correlation_{n}": high.rolling(n).corr(low),
            f"correlation_{n}(close,volume)": close.rolling(n).corr(volume),
            f"beta_{n}": high.pct_change().rolling(n).cov(low.pct_change()) / high.pct_change().rolling(n).var(),
            f"zscore_{n}": (close - close.rolling(n).mean()) / close.rolling(n).std(ddof=0),
        }
        # seeded with a mean, not with the first value
        seeded = pandas.concat([pandas.Series([close[:n].mean()]), close[n:]])
        average = seeded.ewm(span=n, adjust=False).mean().tolist()
        expected[f"ema_{n}"] = pandas.Series([np.nan] * (n - 1) + average)
    table = FeatureExtractor(list(expected)).transform(real_bars)
    worst = {}
    for (name, column), actual in zip(expected.items(), table.T, strict=True):
        np.testing.assert_array_equal(np.isnan(actual), np.isnan(column), err_msg=name)
        size = np.maximum(np.abs(column), scale(name, parse_feature(name).family.unit, real_bars))
        worst[name] = np.nanmax(relative(np.abs(actual - column), size))
    # pandas adds and subtracts powers bar after bar: where a deviation is small, earlier ones are left in it
    divided = [name for name in worst if name.startswith(("skew", "kurtosis", "zscore"))]
    assert max(worst[name] for name in divided) < 1e-7, sorted(worst.items(), key=lambda item: -item[1])[:8]
    others = [worst[name] for name in worst if name not in divided]
    assert max(others) < 1e-9, sorted(worst.items(), key=lambda item: -item[1])[:20]
