import itertools

import numpy as np
import pytest

pytest.importorskip("arch")

from mlopt.features import FeatureExtractor
from mlopt.soak.stream import BarStream, day_shapes


@pytest.fixture(scope="module")
def stream():
    return BarStream(day_shapes(), 5)


def test_the_same_again_from_anywhere(stream):
    first = list(itertools.islice(stream.bars(), 9000))
    again = list(itertools.islice(BarStream(day_shapes(), 5).bars(4000), 5000))
    assert np.array(first[4000:]).tobytes() == np.array(again).tobytes()
    other = list(itertools.islice(BarStream(day_shapes(), 6).bars(), 100))
    assert first[:100] != other


def test_exactly_the_bad_ones_are_refused(stream):
    extractor = FeatureExtractor(["lag_1"])
    refused = []
    for number, bar in enumerate(itertools.islice(stream.bars(), 30_000)):
        try:
            extractor.update(*bar)
        except ValueError:
            refused.append(number)
    assert refused == [number for number in range(30_000) if stream.is_bad(number)]
    assert 10 < len(refused) < 100


def test_prices_stay_in_their_range(stream):
    for number in (0, 10**6, 10**9):
        bars, bad = stream.block(number)
        assert bars[~bad, 3].min() > 20
        assert bars[~bad, 3].max() < 1500


def test_blocks_join(stream):
    (first, _), (second, _) = stream.block(7), stream.block(8)
    assert abs(np.log(second[0, 0] / first[-1, 3])) < 0.1
