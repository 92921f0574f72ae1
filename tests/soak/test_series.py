import json

import numpy as np
import pytest

from mlopt.soak.series import Series


def test_memory_does_not_grow_and_time_stays_even():
    series = Series(["a", "peak"], ["peak"], capacity=100)
    rows = series._rows
    for i in range(12_345):
        series.add(i, {"a": 2 * i, "peak": i % 1000})
    assert series._rows is rows
    assert 50 <= len(series) <= 100
    steps = np.diff(series.times)
    assert (steps == steps[0]).all()
    np.testing.assert_array_equal(series["a"], 2 * series.times)
    assert series["peak"].max() == 999


def test_peaks_are_kept_wherever_they_fall():
    for at in range(0, 5000, 97):
        series = Series(["peak"], ["peak"], capacity=50)
        for i in range(5000):
            series.add(i, {"peak": 7.0 if i == at else 1.0})
        if at <= series.times[-1]:
            assert series["peak"].max() == 7.0


def test_missing_values_and_json():
    series = Series(["a", "b"], capacity=10)
    series.add(0.5, {"a": 1})
    series.add(1.5, {"b": 2})
    assert np.isnan(series["b"][0])
    values = json.loads(json.dumps(series.to_dict(), allow_nan=False))
    back = Series.from_dict(values)
    assert back.to_dict() == values
    assert back.columns == ("a", "b")


@pytest.mark.parametrize("capacity", [0, 1, 7])
def test_capacity_is_checked(capacity):
    with pytest.raises(ValueError, match="capacity"):
        Series(["a"], capacity=capacity)


def test_peaks_must_be_columns():
    with pytest.raises(ValueError, match="peaks"):
        Series(["a"], ["b"])
