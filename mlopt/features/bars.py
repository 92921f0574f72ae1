"""Bars of market data: reading them from files, and the forms in which they are accepted."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Bars", "read_bars", "sample_bars"]

FIELDS = ("open", "high", "low", "close", "volume")
TIMES = ("timestamp", "datetime", "date", "time")


@dataclass(frozen=True)
class Bars:
    """A history of bars, oldest first.

    Attributes
    ----------
    open, high, low, close, volume : ndarray of float64
        One number a bar.
    timestamps : ndarray or None
        When each bar was, as the source had it (``datetime64`` where it can be read as one).

    Examples
    --------
    >>> import numpy as np
    >>> from mlopt.features import Bars
    >>> bars = Bars(*np.array([[10, 11], [12, 12], [9, 10], [10, 12], [1000, 1500.0]]))
    >>> len(bars), bars.as_array().shape
    (2, (2, 5))
    >>> for open, high, low, close, volume in bars:
    ...     print(close)
    10.0
    12.0
    """

    open: np.ndarray[Any, np.dtype[np.float64]]
    high: np.ndarray[Any, np.dtype[np.float64]]
    low: np.ndarray[Any, np.dtype[np.float64]]
    close: np.ndarray[Any, np.dtype[np.float64]]
    volume: np.ndarray[Any, np.dtype[np.float64]]
    timestamps: np.ndarray[Any, Any] | None = None

    def __post_init__(self) -> None:
        for name in FIELDS:
            column = np.ascontiguousarray(getattr(self, name), np.float64)
            if column.ndim != 1 or len(column) != len(self.open):
                raise ValueError(f"{name} must have one number a bar, shape ({len(self.open)},), not {column.shape}")
            object.__setattr__(self, name, column)
        if self.timestamps is not None and len(self.timestamps) != len(self):
            raise ValueError(f"timestamps must have {len(self)} entries, one a bar, not {len(self.timestamps)}")

    def __len__(self) -> int:
        return len(self.close)

    def __iter__(self) -> Iterator[tuple[float, float, float, float, float]]:
        """Each bar as (open, high, low, close, volume)."""
        return zip(*(getattr(self, name).tolist() for name in FIELDS), strict=True)

    def __getitem__(self, which: slice) -> Bars:
        """A stretch of the history: views, no copies."""
        if not isinstance(which, slice):
            raise TypeError(f"bars are indexed by a slice, not {type(which).__name__}")
        times = None if self.timestamps is None else self.timestamps[which]
        columns = {name: getattr(self, name)[which] for name in FIELDS}
        return Bars(**columns, timestamps=times)

    def as_array(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """A new (n, 5) array, columns open, high, low, close, volume."""
        return np.stack([getattr(self, name) for name in FIELDS], axis=1)


def bars_table(
    bars: Any, columns: Sequence[str] = (), symbols: int = 1
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.int64]] | None]:
    """Any accepted form of bars as a C-contiguous (symbols, n, 5 + columns) array, and their times where it has them.

    The values are not looked at.  Times are integers, (symbols, n).
    """
    fields = (*FIELDS, *columns)
    times = None
    if symbols == 1 and isinstance(bars, Bars) and not columns:
        table, times = bars.as_array(), bars.timestamps
    elif symbols == 1 and (isinstance(bars, Mapping) or hasattr(bars, "columns")):
        table, times = _columns_of(bars, fields)
    else:
        shape = f"(n, {len(fields)})" if symbols == 1 else f"(n, {symbols}, {len(fields)})"
        if isinstance(bars, (Bars, Mapping)) or hasattr(bars, "columns"):
            raise TypeError(f"bars must be an array of shape {shape} here, not {type(bars).__name__}")
        try:
            table = np.asarray(bars, np.float64)
        except (TypeError, ValueError) as error:
            message = f"bars must be an array of numbers of shape {shape}, a frame or a mapping ({error})"
            raise TypeError(message) from None
        if table.shape[1:] != ((len(fields),) if symbols == 1 else (symbols, len(fields))):
            raise ValueError(f"bars must have shape {shape}: {', '.join(fields)}; not {table.shape}")
    table = table.reshape(len(table), symbols, len(fields))
    integers = _as_integers(times)
    return (
        np.ascontiguousarray(table.transpose(1, 0, 2)),
        None if integers is None else np.ascontiguousarray(integers.reshape(1, -1)),
    )


def _columns_of(bars: Any, fields: Sequence[str]) -> tuple[np.ndarray[Any, np.dtype[np.float64]], Any]:
    """The fields of a frame or mapping as an (n, fields) array, and its times."""
    names = bars if isinstance(bars, Mapping) else bars.columns
    by_name = {str(name): bars[name] for name in names}
    arrays: list[np.ndarray[Any, np.dtype[np.float64]]] = []
    for name, column in find_columns(list(by_name), "bars", fields).items():
        try:
            arrays.append(np.asarray(by_name[column], np.float64))
        except (TypeError, ValueError) as error:
            raise TypeError(f"bars: column {column!r} must be numbers ({error})") from None
        if arrays[-1].ndim != 1 or len(arrays[-1]) != len(arrays[0]):
            raise ValueError(f"bars: column {name!r} has shape {arrays[-1].shape}, expected {arrays[0].shape}")
    time = _find_times(list(by_name))
    if time is not None and time.strip().lower() == "date" and any(name.strip().lower() == "time" for name in by_name):
        time = None  # neither of the two alone says when a bar was
    if time is not None:
        return np.stack(arrays, axis=1), _times_of(by_name[time])
    index = getattr(bars, "index", None)  # pandas': times only where it says so, else it just counts
    index_is_times = getattr(getattr(index, "dtype", None), "kind", "") == "M"
    return np.stack(arrays, axis=1), _times_of(index) if index_is_times else None


def _times_of(column: Any) -> np.ndarray[Any, Any]:
    """A column of times, or an index, as an array; in UTC where it has a zone, which NumPy does not know."""
    zone = getattr(getattr(column, "dtype", None), "tz", None)
    return np.asarray(column) if zone is None else np.asarray(column, "datetime64[ns]")


def _as_integers(times: Any) -> np.ndarray[Any, np.dtype[np.int64]] | None:
    """Times in nanoseconds, integers as they are; None for what is neither (names)."""
    if times is None:
        return None
    times = _as_times(times)
    if times.dtype.kind not in "iuM":
        return None
    integers: np.ndarray[Any, np.dtype[np.int64]] = (
        times.astype("datetime64[ns]") if times.dtype.kind == "M" else times
    ).astype(np.int64)
    return integers


def as_timestamps(time: Any) -> Any:
    """A time or an array of them as int64: integers as they are, others in nanoseconds since 1970."""
    times = np.asarray(time)
    if times.dtype.kind not in "iuM":
        try:
            times = times.astype("datetime64[ns]")
        except (TypeError, ValueError):
            raise TypeError(f"timestamp must be an integer or a time, not {type(time).__name__}") from None
    if times.dtype.kind == "M":
        times = times.astype("datetime64[ns]")
    if np.isnat(times).any() if times.dtype.kind == "M" else False:
        raise ValueError("timestamp must be a time, not NaT")
    return times.astype(np.int64)[()]


def find_columns(names: list[str], where: str, fields: Sequence[str] = FIELDS) -> dict[str, str]:
    """Field -> the column of that name, in whatever case; the exact case wins."""
    found = {}
    for field in fields:
        matches = [name for name in names if name.strip().lower() == field.lower()]
        if not matches:
            raise ValueError(f"{where}: no column {field!r}; there are {', '.join(map(repr, names)) or 'none'}")
        if len(matches) > 1 and field not in matches:
            raise ValueError(f"{where}: columns {' and '.join(map(repr, matches))} both read as {field!r}")
        found[field] = field if field in matches else matches[0]
    return found


def _find_times(names: list[str]) -> str | None:
    for time in TIMES:
        for name in names:
            if name.strip().lower() == time:
                return name
    return None


def _as_times(column: Any) -> np.ndarray[Any, Any]:
    times = np.asarray(column)
    if times.dtype == object or times.dtype.kind == "U":
        try:
            return times.astype("datetime64")
        except (TypeError, ValueError):
            return times
    return times


def _check(bars: Bars, where: str) -> Bars:
    """Refuses bars that no extractor would take: NaN and infinities."""
    if not len(bars):
        raise ValueError(f"{where}: no bars in it")
    for name in FIELDS:
        bad = np.flatnonzero(~np.isfinite(getattr(bars, name)))
        if len(bad):
            raise ValueError(
                f"{where}: bar {bad[0]}: {name} is {getattr(bars, name)[bad[0]]}, expected a finite number"
            )
    return bars


def _read_csv(path: Path) -> Bars:
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        names = next(reader, None)
        if names is None:
            raise ValueError(f"{path}: the file is empty")
        cells = [(field, names.index(name)) for field, name in find_columns(names, f"{path}: line 1").items()]
        time = _find_times(names)
        time_column = None if time is None else names.index(time)
        values: list[list[float]] = []
        times = []
        for row in reader:
            if not row:
                continue
            if len(row) != len(names):
                raise ValueError(f"{path}: line {reader.line_num}: {len(row)} cells, expected {len(names)}")
            bar = []
            for field, column in cells:
                try:
                    number = float(row[column])
                except ValueError:
                    number = math.nan
                    if row[column].strip().lower() not in ("", "nan", "na", "null"):
                        raise ValueError(
                            f"{path}: line {reader.line_num}: {field} is {row[column]!r}, expected a number"
                        ) from None
                if not math.isfinite(number):
                    raise ValueError(
                        f"{path}: line {reader.line_num}: {field} is {row[column]!r}, expected a finite number"
                    )
                bar.append(number)
            values.append(bar)
            if time_column is not None:
                times.append(row[time_column])
    table = np.array(values, np.float64).reshape(-1, len(FIELDS))
    columns = dict(zip(FIELDS, table.T, strict=True))
    return _check(Bars(**columns, timestamps=_as_times(times) if times else None), str(path))


def _read_parquet(path: Path) -> Bars:
    try:
        import pandas  # type: ignore[import-untyped,unused-ignore]
        import pyarrow  # type: ignore[import-untyped,unused-ignore] # noqa: F401
    except ImportError as error:
        raise ImportError(f"reading Parquet needs pandas and pyarrow: pip install mlopt[demo] ({error})") from error
    try:
        frame = pandas.read_parquet(path)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(f"{path}: not a Parquet file ({error})") from error
    return _from_frame(frame, str(path))


def _from_frame(frame: Any, where: str) -> Bars:
    found = find_columns([str(name) for name in frame.columns], where)
    columns = {str(name): frame[name] for name in frame.columns}
    arrays = {}
    for field, column in found.items():
        try:
            arrays[field] = columns[column].to_numpy(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where}: column {field!r} must be numbers ({error})") from None
    time = _find_times(list(columns))
    times = None
    if time is not None:
        times = _times_of(columns[time])
    elif frame.index.dtype.kind == "M":
        times = _times_of(frame.index)
    return _check(Bars(**arrays, timestamps=None if times is None else _as_times(times)), where)


def read_bars(path: str | os.PathLike[str]) -> Bars:
    """Read bars from a CSV or Parquet file.

    Parameters
    ----------
    path : path-like
        A Parquet file where the name ends in ``.parquet`` or ``.pq``, else CSV with a header line.
        Columns open, high, low, close, volume in any case and order; a column timestamp, datetime,
        date or time, if there, gives the timestamps; others are ignored.

    Returns
    -------
    Bars
        In the order of the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        Naming the file and, for CSV, the line: an empty file, a missing column, a cell that is not a
        finite number.
    ImportError
        If the libraries for Parquet are not installed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from mlopt.features import read_bars
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "bars.csv")
    ...     _ = path.write_text("Date,Open,High,Low,Close,Volume\\n2024-01-02,10,12,9,11,1000\\n")
    ...     bars = read_bars(path)
    >>> bars.close, bars.timestamps
    (array([11.]), array(['2024-01-02'], dtype='datetime64[D]'))
    """
    path = Path(path)
    if path.suffix.lower() in (".parquet", ".pq"):
        return _read_parquet(path)
    try:
        return _read_csv(path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a CSV file ({error})") from error


def sample_bars() -> Bars:
    """Twenty years of daily bars of the S&P 500 index, 1999 to 2018.

    They are part of the package `arch` (``pip install mlopt[demo]``); nothing is downloaded.

    Returns
    -------
    Bars
        5031 bars.
    """
    try:
        from arch.data import sp500
    except ImportError as error:
        raise ImportError(f"the sample bars are in the package arch: pip install mlopt[demo] ({error})") from error
    return _from_frame(sp500.load(), "arch.data.sp500")
