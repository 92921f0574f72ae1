"""Rates over sizes and shapes: every product and vector operation against the machine's limit and the best peer.

``mlopt rates`` measures them; ``docs/rates.json`` keeps what was measured, and ``tools/plot_rates.py`` draws it.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import mlopt
from mlopt.targets import peers, products
from mlopt.targets.contest import OURS, Contest, Options
from mlopt.targets.limits import TYPES
from mlopt.targets.measure import Spread, calls
from mlopt.targets.rows import vector_ops
from mlopt.targets.shapes import SHAPES, operands

FORMAT = 1
SIZES = (8, 16, 32, 48, 64, 96, 100, 128, 192, 200, 256, 384, 500, 512, 768, 1000, 1024, 1536, 2000, 2048, 3000,
         3072, 4096)  # fmt: skip
SMALL = (8, 16, 32)
KERNEL = "kernel"
SETS = {
    "square": "square matrices into a given array, from Python, one thread",
    "small": "small square matrices, a new array for each product, from Python, one thread",
    "shapes": "200 shapes from networks into a given array, from Python, one thread",
    "vector": "elementwise operations and reductions, kernel and from Python, one thread",
}


@dataclass(frozen=True)
class Point:
    """Something to measure: its place in a sweep, what one call does, and the contest, made when its turn comes."""

    id: str
    contest: Callable[[bool], Contest]
    ours: str  # what the contest's main entry is called
    source: str = ""


@dataclass(frozen=True)
class Rate:
    """What a point gave.

    Parameters
    ----------
    id : str
        ``set/type/name``.
    amount : float
        What one call does: multiplications and additions, or bytes.
    limit : str
        The limit's name.
    limit_rate : float
        What the machine does at most, in `amount` per second.
    ours : dict of str to (seconds, share of the limit)
        By method.
    peers : dict of str to (seconds, share of the limit)
        By library.
    ratios : dict of str to dict of str to (median, lower, upper quartile)
        The time of a library over that of a method, pair by pair.
    source : str
        Where a shape comes from.
    """

    id: str
    amount: float
    limit: str
    limit_rate: float
    ours: dict[str, tuple[float, float]]
    peers: dict[str, tuple[float, float]]
    ratios: dict[str, dict[str, tuple[float, float, float]]]
    source: str = ""

    @property
    def set(self) -> str:
        """The first part of the id."""
        return self.id.split("/")[0]

    @property
    def dtype(self) -> str:
        """The second part of the id."""
        return self.id.split("/")[1]

    @property
    def name(self) -> str:
        """The last part of the id: a size, a shape, an operation with its size."""
        return self.id.split("/", 2)[2]

    def against_best(self, method: str) -> tuple[str, float] | None:
        """The best peer, and its time over ours; None where there is no peer or no such method."""
        ratios = self.ratios.get(method)
        if not ratios:
            return None
        best = min(ratios, key=lambda peer: ratios[peer][0])
        return best, ratios[best][0]


@dataclass
class Rates:
    """All that was measured, and the machine."""

    machine: dict[str, Any] = field(default_factory=dict)
    rates: dict[str, Rate] = field(default_factory=dict)

    def of(self, set: str, dtype: str) -> list[Rate]:
        """The rates of one set and type, in the order of the sweep."""
        return [rate for rate in self.rates.values() if (rate.set, rate.dtype) == (set, dtype)]

    def to_json(self) -> str:
        """JSON with a line for every point, so that a change of one shows as one.

        Examples
        --------
        >>> from mlopt.targets.rates import Rates
        >>> Rates.from_json(Rates({"cpu": "x"}).to_json()).machine
        {'cpu': 'x'}
        """
        encode = partial(json.dumps, ensure_ascii=False, allow_nan=False)
        lines = ",\n".join(encode(_rounded(asdict(rate))) for rate in self.rates.values())
        return f'{{"format": {FORMAT},\n"machine": {encode(self.machine)},\n"rates": [\n{lines}\n]}}\n'

    @classmethod
    def from_json(cls, text: str) -> Rates:
        """The rates that :meth:`to_json` was called on, to four digits."""
        data = json.loads(text)
        if data.get("format") != FORMAT:
            raise ValueError(f"text has format {data.get('format')!r}; this version reads {FORMAT}")
        return cls(data["machine"], {rate["id"]: Rate(**_tuples(rate)) for rate in data["rates"]})


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}") if value < 1e15 else value
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _tuples(item) for name, item in value.items()}
    return tuple(value) if isinstance(value, list) else value


def product_contest(m: int, n: int, k: int, layout: str, dtype: str, with_peers: bool) -> Contest:
    """A product into a given array."""
    return products.contest(*operands(m, n, k, layout, dtype), with_peers=with_peers)


def small_contest(n: int, dtype: str, with_peers: bool) -> Contest:
    """A product that makes its array, as a user writes it."""
    a, b, _ = operands(n, n, n, "nn", dtype)
    contest = product_contest(n, n, n, "nn", dtype, False)
    contest.ours = calls(lambda: mlopt.matmul(a, b))
    if with_peers:
        contest.peers[peers.label("numpy")] = calls(lambda: a @ b)
        if (torch := peers.find("torch")) is not None:
            left, right = torch.from_numpy(a), torch.from_numpy(b)
            contest.peers[peers.label("torch")] = calls(lambda: left @ right)
    return contest


def vector_contest(name: str, dtype: str, n: int, with_peers: bool) -> Contest:
    """A vector operation: the kernel, and from Python."""
    return replace(vector_ops.contest(name, dtype, n, Options(peers=with_peers)), baseline=None)


def points() -> Iterator[Point]:
    """Everything there is to measure, in order."""
    for dtype in ("float64", "float32"):
        for n in SIZES:
            yield Point(f"square/{dtype}/{n}", partial(product_contest, n, n, n, "nn", dtype), "gemm")
    for dtype in ("float64", "float32"):
        for n in SMALL:
            yield Point(f"small/{dtype}/{n}", partial(small_contest, n, dtype), "gemm")
    for dtype in ("float32", "float64"):
        for shape in SHAPES:
            made = partial(product_contest, *shape[:4], dtype)
            yield Point(f"shapes/{dtype}/{shape}", made, "gemm", shape.source)
    for dtype in TYPES:
        for size, n in vector_ops.SIZES.items():
            for name in vector_ops.OPERATIONS:
                yield Point(f"vector/{dtype}/{name} {size}", partial(vector_contest, name, dtype, n), KERNEL)


def chosen(patterns: Iterable[str] | None) -> list[Point]:
    """The points whose id, or the beginning of it, matches one of the patterns; all where there are none.

    Examples
    --------
    >>> from mlopt.targets.rates import chosen
    >>> [point.id for point in chosen(["square/*/1024", "small/float32"])]
    ['square/float64/1024', 'square/float32/1024', 'small/float32/8', 'small/float32/16', 'small/float32/32']
    """
    everything = list(points())
    if patterns is None:
        return everything
    result: dict[str, Point] = {}
    for pattern in patterns:
        found = [p for p in everything if fnmatchcase(p.id, pattern) or fnmatchcase(p.id, f"{pattern}/*")]
        if not found:
            raise ValueError(f"{pattern!r} matches nothing; ids are set/type/name, the sets: {', '.join(SETS)}")
        result |= {point.id: point for point in found}
    return [point for point in everything if point.id in result]


def measure(point: Point, seconds: float, with_peers: bool = True, processor_time: bool = False) -> Rate:
    """Measure one point, everything interleaved.

    Examples
    --------
    >>> from mlopt.targets.rates import chosen, measure
    >>> measure(chosen(["square/float64/64"])[0], 0.01, with_peers=False).ours["gemm"][0] > 0
    True
    """
    with peers.threads(1):
        contest = point.contest(with_peers)
        if processor_time:
            contest = contest.on_processor_time()
        (limit,) = contest.limits
        rounds = contest.measure(seconds, min_rounds=3)
    key = f"limit {limit.name}"
    methods = {point.ours: OURS} | {name: f"variant {name}" for name in contest.variants}
    libraries = {name: f"peer {name}" for name in contest.peers}

    def timed(alternative: str) -> tuple[float, float]:
        share = rounds.ratio(key, of=alternative, factor=contest.amount / limit.amount)
        return rounds.seconds(alternative).median, share.median

    def quartiles(spread: Spread) -> tuple[float, float, float]:
        return spread.median, spread.low, spread.high

    return Rate(
        point.id,
        contest.amount,
        limit.name,
        rounds.rate(key, limit.amount).median,
        {name: timed(alternative) for name, alternative in methods.items()},
        {name: timed(alternative) for name, alternative in libraries.items()},
        {
            method: {name: quartiles(rounds.ratio(library, of=alternative)) for name, library in libraries.items()}
            for method, alternative in methods.items()
            if libraries and method != KERNEL  # the others are called from Python
        },
        point.source,
    )


@dataclass(frozen=True)
class Summary:
    """A set and type in numbers: the best peer's time over ours, at worst and in the middle."""

    set: str
    dtype: str
    method: str
    points: int
    behind: int
    worst: float
    worst_name: str
    worst_peer: str
    median: float

    def __str__(self) -> str:
        return (
            f"{self.set}, {self.dtype}, {self.method}: median {self.median:.2f}× the best peer, "
            f"behind at {self.behind} of {self.points}, worst {self.worst:.2f}× ({self.worst_name}, {self.worst_peer})"
        )


def summaries(rates: Rates) -> Iterator[Summary]:
    """Of every set, type and method that was compared with a peer."""
    for set in SETS:
        for dtype in ("float64", "float32"):
            found = rates.of(set, dtype)
            for method in dict.fromkeys(method for rate in found for method in rate.ratios):
                against = [(best[1], rate.name, best[0]) for rate in found if (best := rate.against_best(method))]
                ratios = [ratio for ratio, _, _ in against]
                worst, name, peer = min(against)
                behind = sum(ratio < 1 for ratio in ratios)
                middle = statistics.median(ratios)
                yield Summary(set, dtype, method, len(ratios), behind, worst, name, peer, middle)
