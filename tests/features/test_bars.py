"""Bars: reading files, naming what is wrong in them, the sample."""

import sys

import numpy as np
import pytest

from mlopt.features import Bars, FeatureExtractor, read_bars, sample_bars

CSV = """Date,Open,High,Low,Close,Adj Close,Volume
2024-01-02,10,12,9,11,5,1000
2024-01-03,11,13,10,12.5,6,1500.5

2024-01-04,12.5,12.5,12.5,12.5,7,0
"""
TABLE = np.array([[10, 12, 9, 11, 1000], [11, 13, 10, 12.5, 1500.5], [12.5, 12.5, 12.5, 12.5, 0]])


def write(tmp_path, text, name="bars.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_csv(tmp_path):
    bars = read_bars(write(tmp_path, CSV))
    np.testing.assert_array_equal(bars.as_array(), TABLE)
    np.testing.assert_array_equal(
        bars.timestamps, np.array(["2024-01-02", "2024-01-03", "2024-01-04"], "datetime64[D]")
    )
    assert bars.close.dtype == np.float64


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffopen,high,low,close,volume\n1,2,1,2,3\n",
        "VOLUME, Close ,LOW,High,oPEN\r\n3,2,1,2,1\r\n",
        "open,high,low,close,volume\n1,2,1,2,3",
    ],
)
def test_csv_forms(tmp_path, text):
    bars = read_bars(str(write(tmp_path, text)))
    np.testing.assert_array_equal(bars.as_array(), [[1, 2, 1, 2, 3]])
    assert bars.timestamps is None


def test_timestamps_that_are_no_dates_are_kept_as_text(tmp_path):
    bars = read_bars(write(tmp_path, "timestamp,open,high,low,close,volume\nmonday,1,2,1,2,3\n"))
    assert bars.timestamps.tolist() == ["monday"]


HEADER = "open,high,low,close,volume\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"bars\.csv: the file is empty"),
        (HEADER, r"bars\.csv: no bars in it"),
        ("open,high,low,close\n1,2,1,2\n", r"bars\.csv: line 1: no column 'volume'; there are 'open', 'high'"),
        (HEADER + "1,2,1,2,3\n1,2,x,2,3\n", r"bars\.csv: line 3: low is 'x', expected a number"),
        (HEADER + "1,2,1,2,3\n\n1,2,1,,3\n", r"bars\.csv: line 4: close is '', expected a finite number"),
        (HEADER + "1,2,1,2,NaN\n", r"bars\.csv: line 2: volume is 'NaN', expected a finite number"),
        (HEADER + "inf,2,1,2,3\n", r"bars\.csv: line 2: open is 'inf', expected a finite number"),
        (HEADER + "1,2,1,2\n", r"bars\.csv: line 2: 4 cells, expected 5"),
        ("Open,OPEN,high,low,close,volume\n1,1,1,1,1,1\n", r"line 1: columns 'Open' and 'OPEN' both read as 'open'"),
    ],
)
def test_bad_csv_names_file_and_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_bars(write(tmp_path, text))


def test_not_text(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_bytes(b"\xff\xfe\x00open")
    with pytest.raises(ValueError, match=r"bars\.csv: not a CSV file"):
        read_bars(path)
    with pytest.raises(FileNotFoundError):
        read_bars(tmp_path / "nothing.csv")


def test_parquet(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(TABLE, columns=["Open", "High", "Low", "Close", "Volume"])
    frame.index = pandas.DatetimeIndex(["2024-01-02", "2024-01-03", "2024-01-04"], name="when")
    frame.to_parquet(tmp_path / "bars.parquet")
    bars = read_bars(tmp_path / "bars.parquet")
    np.testing.assert_array_equal(bars.as_array(), TABLE)
    assert bars.timestamps.dtype.kind == "M"
    frame.loc[frame.index[1], "Low"] = np.nan
    frame.to_parquet(tmp_path / "bars.pq")
    with pytest.raises(ValueError, match=r"bars\.pq: bar 1: low is nan"):
        read_bars(tmp_path / "bars.pq")
    frame.drop(columns="Low").to_parquet(tmp_path / "bars.pq")
    with pytest.raises(ValueError, match=r"bars\.pq: no column 'low'"):
        read_bars(tmp_path / "bars.pq")
    (tmp_path / "bars.pq").write_bytes(b"PAR1 nonsense")
    with pytest.raises(ValueError, match=r"bars\.pq: not a Parquet file"):
        read_bars(tmp_path / "bars.pq")


def test_times_of_a_frame():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(TABLE, columns=["Open", "High", "Low", "Close", "Volume"])
    counted = FeatureExtractor(["lag_1"]).warm_up(frame).warm_up(frame[::-1])
    assert counted.bars_seen == 2 * len(TABLE)  # an index that only counts says nothing about time
    times = pandas.date_range("2024-01-02", periods=len(TABLE))
    for index in (times, times.tz_localize("America/New_York")):
        for dated in (frame.set_index(index), frame.assign(Timestamp=index)):
            extractor = FeatureExtractor(["lag_1"]).warm_up(dated)
            with pytest.raises(ValueError, match="bar 0: timestamp must be later"):
                extractor.warm_up(dated)


def test_missing_libraries_name_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "arch.data", None)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install mlopt\[demo\]"):
        sample_bars()
    with pytest.raises(ImportError, match=r"pip install mlopt\[demo\]"):
        read_bars(tmp_path / "bars.parquet")


def test_bars():
    bars = Bars(*TABLE.T, timestamps=np.arange(3))
    assert len(bars) == 3
    assert next(iter(bars)) == (10, 12, 9, 11, 1000)
    part = bars[1:]
    assert len(part) == 2
    assert part.timestamps.tolist() == [1, 2]
    assert np.shares_memory(part.low, bars.low)
    with pytest.raises(ValueError, match=r"high must have one number a bar, shape \(3,\), not \(2,\)"):
        Bars(TABLE[:, 0], TABLE[:2, 1], *TABLE.T[2:])
    with pytest.raises(ValueError, match="timestamps must have 3 entries"):
        Bars(*TABLE.T, timestamps=np.arange(2))
    with pytest.raises(TypeError, match="indexed by a slice"):
        bars[0]


def test_sample_bars_are_good_bars():
    pytest.importorskip("arch")
    bars = sample_bars()
    assert len(bars) == 5031
    assert bars.timestamps[0] == np.datetime64("1999-01-04")
    assert bars.close[0] == pytest.approx(1228.1, abs=0.01)
    assert FeatureExtractor(["obv"]).transform(bars).shape == (5031, 1)
