"""How good a forecast of direction is, said honestly."""

from dataclasses import dataclass
from statistics import NormalDist


def wilson_interval(hits: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share.

    Parameters
    ----------
    hits, count : int
        How often it was so, of how many; ``0 <= hits <= count`` and `count` at least 1.
    confidence : float, default 0.95
        Between 0 and 1.

    Returns
    -------
    low, high : float

    Examples
    --------
    >>> from mlopt.demo.accuracy import wilson_interval
    >>> low, high = wilson_interval(55, 100)
    >>> print(f"{low:.3f} {high:.3f}")
    0.452 0.644
    """
    if not (count >= 1 and 0 <= hits <= count):
        raise ValueError(f"hits must be from 0 to count and count at least 1, not {hits} of {count}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence}")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z / (1 + z * z / count) * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5
    # at the ends the formula gives 0 and 1 but for rounding
    return (0.0 if hits == 0 else middle - reach), (1.0 if hits == count else middle + reach)


@dataclass(frozen=True)
class Accuracy:
    """Forecasts of direction held against what came.

    Parameters
    ----------
    count : int
        Forecasts made.
    hits : int
        Forecasts that were right.
    ups : int
        How often the direction was up: the hits of one who always says so.
    """

    count: int
    hits: int
    ups: int

    @property
    def hit_rate(self) -> float:
        """The share of forecasts that were right."""
        return self.hits / self.count

    @property
    def up_rate(self) -> float:
        """The base rate: the share of bars that were up."""
        return self.ups / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the hit rate."""
        return wilson_interval(self.hits, self.count)

    @property
    def verdict(self) -> str:
        """What the figures amount to, in words.

        Examples
        --------
        >>> from mlopt.demo.accuracy import Accuracy
        >>> Accuracy(count=1000, hits=510, ups=540).verdict
        'a coin flip: the interval holds 50 %'
        """
        low, high = self.interval
        constant = max(self.up_rate, 1 - self.up_rate)
        always = "up" if self.up_rate >= 0.5 else "down"
        if low <= 0.5 <= high:
            return "a coin flip: the interval holds 50 %"
        if high < 0.5:
            return "worse than a coin flip"
        if low <= constant:
            return f"better than a coin, but no better than always saying “{always}” ({constant:.1%})"
        return f"better than a coin and than always saying “{always}” ({constant:.1%})"

    def __add__(self, other: "Accuracy") -> "Accuracy":
        return Accuracy(self.count + other.count, self.hits + other.hits, self.ups + other.ups)
