import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlopt.demo.accuracy import Accuracy, wilson_interval


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_interval_holds_the_share_and_stays_within_bounds(hits_and_count):
    hits, count = hits_and_count
    low, high = wilson_interval(hits, count)
    assert 0 <= low <= hits / count <= high <= 1
    mirrored = wilson_interval(count - hits, count)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_known_value():
    # Newcombe 1998, table I: 81 of 263
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)


@pytest.mark.parametrize(
    ("hits", "ups", "words"),
    [
        (5050, 5400, "a coin flip"),
        (4500, 5400, "worse than a coin flip"),
        (5300, 5400, "no better than always saying “up” (54.0%)"),
        (5300, 4600, "no better than always saying “down” (54.0%)"),
        (5700, 5400, "better than a coin and than always saying “up”"),
    ],
)
def test_verdict(hits, ups, words):
    assert words in Accuracy(10_000, hits, ups).verdict


@pytest.mark.parametrize(("hits", "count"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts(hits, count):
    with pytest.raises(ValueError, match="hits must be"):
        wilson_interval(hits, count)


def test_bad_confidence():
    with pytest.raises(ValueError, match="confidence"):
        wilson_interval(1, 2, confidence=1.0)


def test_sum():
    assert Accuracy(10, 4, 6) + Accuracy(20, 11, 9) == Accuracy(30, 15, 15)
