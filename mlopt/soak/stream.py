"""Endless bars for the loads: random walks made of real days, the same for the same seed, bad ones among them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mlopt.features import sample_bars

Bar = tuple[float, float, float, float, float]
FIELDS = 5
HIGH, LOW, VOLUME = 1, 2, 4  # columns of a bar: open, high, low, close, volume


def day_shapes() -> NDArray[np.float64]:
    """What the sample's days look like apart from their level, one a row.

    Logarithms of open over the close before, close over open, high over the larger of the two, low over the
    smaller; and the volume.
    """
    bars = sample_bars()
    open_, close = bars.open[1:], bars.close[1:]
    return np.stack(
        [
            np.log(open_ / bars.close[:-1]),
            np.log(close / open_),
            np.log(np.maximum(bars.high[1:] / np.maximum(open_, close), 1.0)),
            np.log(np.minimum(bars.low[1:] / np.minimum(open_, close), 1.0)),
            bars.volume[1:],
        ],
        axis=1,
    )


class BarStream:
    """Bars by number, without end and without a memory of those before.

    A block of bars is a function of the seed and its number: days drawn at random from the sample, with a drift
    that leads from the block's own level to the level of the next, so that prices stay in their range however
    long the stream is, and any bar can be made again.

    Parameters
    ----------
    shapes : ndarray of float64, shape (days, 5)
        As :func:`day_shapes` makes them.
    seed : int
        Of everything.
    bad_every : int
        One bar in so many, on average, is impossible: a NaN, high below low, or a negative volume.

    Examples
    --------
    >>> import numpy as np
    >>> from mlopt.soak.stream import BarStream
    >>> stream = BarStream(np.array([[0.0, 0.01, 0.002, -0.003, 1000.0], [0.0, -0.01, 0.004, 0.0, 900.0]]), seed=1)
    >>> first = next(stream.bars())
    >>> first == next(stream.bars())
    True
    >>> next(stream.bars(start=5000)) == tuple(stream.block(1)[0][5000 - 4096])
    True
    """

    BLOCK = 4096

    def __init__(self, shapes: NDArray[np.float64], seed: int, bad_every: int = 1000) -> None:
        self._shapes, self._seed, self._bad_every = shapes, seed, bad_every
        self._bad: dict[int, NDArray[np.bool_]] = {}  # of the blocks asked for last

    def _level(self, block: int) -> float:
        """The logarithm of the close before a block's first bar."""
        return float(np.random.default_rng([self._seed, block, 1]).uniform(np.log(50), np.log(500)))

    def block(self, number: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The bars from ``number * BLOCK`` on, shape (BLOCK, 5), and which of them are bad."""
        rng = np.random.default_rng([self._seed, number, 0])
        gap, body, above, below, volume = self._shapes[rng.integers(len(self._shapes), size=self.BLOCK)].T
        start = self._level(number)
        drift = (self._level(number + 1) - start - (gap + body).sum()) / self.BLOCK
        close = start + np.cumsum(gap + body + drift)
        open_ = np.concatenate([[start], close[:-1]]) + gap
        bars = np.stack(
            [open_, np.maximum(open_, close) + above, np.minimum(open_, close) + below, close, volume], axis=1
        )
        np.exp(bars[:, :VOLUME], out=bars[:, :VOLUME])
        bad = rng.random(self.BLOCK) < 1 / self._bad_every
        kinds, fields = rng.integers([[3], [FIELDS]], size=(2, bad.sum()))
        for at, kind, field in zip(np.flatnonzero(bad), kinds, fields, strict=True):
            if kind == 0:
                bars[at, field] = np.nan
            elif kind == 1:
                bars[at, HIGH] = bars[at, LOW] / 1.01
            else:
                bars[at, VOLUME] = -1.0
        return bars, bad

    def bars(self, start: int = 0) -> Iterator[Bar]:
        """The bars from number `start` on, each as (open, high, low, close, volume)."""
        number, first = divmod(start, self.BLOCK)
        while True:
            bars, _ = self.block(number)
            for bar in bars[first:].tolist():
                yield tuple(bar)
            number, first = number + 1, 0

    def is_bad(self, number: int) -> bool:
        """Whether bar `number` is one of the impossible ones."""
        block, at = divmod(number, self.BLOCK)
        bad = self._bad.get(block)
        if bad is None:
            if len(self._bad) >= 4:
                self._bad.pop(next(iter(self._bad)))
            bad = self._bad[block] = self.block(block)[1]
        return bool(bad[at])

    def is_good(self, number: int) -> bool:
        """Whether bar `number` is a possible one."""
        return not self.is_bad(number)

    def history(self, count: int) -> NDArray[np.float64]:
        """`count` good bars from another stretch of the same walk, to warm up with; at most BLOCK."""
        bars, bad = BarStream(self._shapes, self._seed + 1_000_003, 1 << 60).block(0)
        return bars[~bad][:count]
