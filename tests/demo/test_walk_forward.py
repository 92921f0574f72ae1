from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlopt.demo.walk_forward import walk_forward


@given(st.integers(0, 1000), st.integers(100, 6000), st.integers(1, 12), st.integers(1, 5))
def test_no_fold_looks_ahead(start, count, folds, horizon):
    split = walk_forward(start, start + count, folds, horizon)
    assert len(split) == folds
    for fold in split:
        assert fold.train_start == start
        assert fold.train_start < fold.train_stop
        assert fold.test_start < fold.test_stop
        last_label_known_at = fold.train_stop - 1 + horizon
        assert last_label_known_at == fold.test_start


@given(st.integers(100, 6000), st.integers(1, 12))
def test_judged_spans_follow_each_other_to_the_end(count, folds):
    split = walk_forward(0, count, folds)
    assert split[-1].test_stop == count
    for earlier, later in pairwise(split):
        assert earlier.test_stop == later.test_start
        assert later.train_stop > earlier.train_stop
    lengths = [fold.test_stop - fold.test_start for fold in split]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 100, 0), "folds"), ((0, 100, 3, 0), "horizon"), ((0, 5, 4), "5 samples are too few"), ((9, 3, 1), "too few")],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        walk_forward(*arguments)
