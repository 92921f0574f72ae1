"""Compiles a list of feature values to a plan, and the state it starts from (features.h has the layout)."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlopt.features.graph import Node, Value, series
from mlopt.features.layout import HEADER_WORDS, KINDS, LANES, NOTHING, SERIES
from mlopt.memory import empty_aligned

__all__ = ["Plan", "compile_plan", "empty_words"]

ELEMENTWISE = tuple(name for name, kind in KINDS.items() if kind.kind_class == "elementwise")
CHEAP = (*ELEMENTWISE, "lag")
WINDOWED = tuple(name for name in KINDS if name not in ("bar", "push", "output", *ELEMENTWISE))

# The numbers of nodes that stand for nothing, where they are not all 0: such a node reads zeros, and keeps them.
PADDING = {
    "sum": (1.0, 1.0, 0.0),
    "weighted": (1.0, 1.0, 1.0, 0.0),
    "moments": (1.0, 1.0, math.inf),
    "average": (0.0, 0.0, 1.0, 0.0),
    "accumulate": (math.inf,),
    "sar": (0.0, 0.0, math.inf),
    "extrema": (1.0, math.inf),
    "deviation": (1.0, 1.0),
    "shape": (1.0, 1.0, 0.0, 0.0, 0.0),
    "rank": (1.0, 1.0),
    "covariance": (1.0, 1.0),
}


def empty_words(count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """`count` words of 8 bytes, 64-byte aligned."""
    return empty_aligned(count, np.float64)


@dataclass(frozen=True)
class Plan:
    """A compiled feature set: constant, and shared by everything that streams it.

    `words` are the plan, `initial` the state it starts from, `values` what comes behind the state, `totals` the words
    of the state that are running totals, `ready` the first bar of each output.
    """

    words: np.ndarray[Any, np.dtype[np.int64]]
    initial: np.ndarray[Any, np.dtype[np.float64]]
    values: int
    totals: tuple[int, ...]
    ready: np.ndarray[Any, np.dtype[np.int64]]

    @property
    def digest(self) -> int:
        """Tells plans of different layout apart."""
        return zlib.crc32(self.words.tobytes())


def _round_up(count: int, to: int = LANES) -> int:
    return -(-count // to) * to


class _Compiler:
    def __init__(self, outputs: Sequence[Value], columns: int) -> None:
        self.outputs = outputs
        self.columns = columns
        self.steps: list[list[int]] = []
        self.parameters: list[np.ndarray[Any, Any]] = []  # of each step, flat
        self.nodes_of: list[np.ndarray[Any, Any]] = []  # the rows once more, of the nodes alone
        self.flags: list[slice] = []  # where among them the flags are
        self.read: set[int] = set()  # the values that any step reads
        self.state_words = HEADER_WORDS
        self.values = 0  # so far; numbered from 0 until the state has its size
        self.initial: list[tuple[int, int, float]] = []  # ranges of the state that do not start as 0
        self.slots: dict[Value, int] = {}
        self.pushed: set[Value] = set()
        self.nodes = self.collect(outputs)
        self.rings = self.place_rings()

    @staticmethod
    def collect(outputs: Iterable[Value]) -> list[Node]:
        """Every node once, what it reads before it."""
        order: dict[Node, None] = {}
        pending = [(value.node, False) for value in reversed(list(outputs))]
        while pending:
            node, inputs_done = pending.pop()
            if inputs_done:
                order[node] = None
            elif node not in order:
                pending.append((node, True))
                pending.extend((value.node, False) for value in reversed(node.reads))
        return list(order)

    def allocate(self, words: int) -> int:
        first = self.state_words
        self.state_words += _round_up(words)
        return first

    def place_rings(self) -> dict[Value, tuple[int, int]]:
        """Base and mask of the ring of each series that something looks back at, long enough for the longest."""
        reach: dict[Value, int] = {}
        for node in self.nodes:
            for value, bars in node.windows:
                reach[value] = max(reach.get(value, 0), bars)
        rings = {}
        for value, bars in reach.items():
            capacity = 1 << bars.bit_length()  # more than `bars`
            rings[value] = (self.allocate(2 * capacity), capacity - 1)
        return rings

    def emit(
        self, kind: str, sources: Sequence[Sequence[int]], rings: Sequence[Sequence[int]],
        numbers: Sequence[Sequence[float]], results: int, tail: Sequence[int] = (), levels: int = 0, windows: int = 0,
    ) -> int:  # fmt: skip
        """Appends a step of one node per element.  Returns where its values begin."""
        used, lanes, of = len(sources), _round_up(len(sources)), KINDS[kind]
        index = np.zeros((of.sources + 3 * of.rings, lanes), np.int64)
        index[of.sources :: 3] = NOTHING
        number = np.zeros((of.numbers, lanes))
        number[:] = np.array(PADDING.get(kind, (0.0,) * of.numbers), np.float64).reshape(-1, 1)
        for i in range(lanes if kind in ELEMENTWISE else used):
            node = min(i, used - 1)  # beyond the last, the last again: what remembers nothing may do it twice
            index[:, i] = [*sources[node], *rings[node]]
            number[:, i] = numbers[node]
        # behind the rows, for every LANES nodes: bit s where source s is the same value for all of them
        blocks = index[: of.sources].reshape(of.sources, lanes // LANES, LANES)
        flags = np.all(blocks == blocks[:, :, :1], axis=2).T @ (1 << np.arange(of.sources))
        rows = np.concatenate([index.ravel(), number.view(np.int64).ravel()])
        self.flags.append(slice(len(rows), len(rows) + len(flags)))
        self.parameters.append(np.concatenate([rows, flags, np.array(tail, np.int64)]))
        self.nodes_of.append(rows.reshape(-1, lanes)[:, :used].copy())
        self.read.update(value for row in sources for value in row)
        values = self.values
        self.values += results * lanes
        self.steps.append([of.number, lanes, used, 0, values, self.allocate(of.states * lanes), levels, windows])
        return values

    def ring_of(self, window: tuple[Value, int]) -> list[int]:
        value, bars = window
        return [*self.rings[value], bars]

    def emit_nodes(self, kind: str, nodes: Sequence[Node]) -> None:
        if kind == "extrema":
            self.emit_extrema(nodes)
            return
        results, lanes = KINDS[kind].results, _round_up(len(nodes))
        nodes = sorted(nodes, key=lambda node: [self.slots[x] for x in node.inputs])  # neighbours share sources
        first = self.emit(
            kind,
            [[self.slots[x] for x in node.inputs] for node in nodes],
            [[word for window in node.windows for word in self.ring_of(window)] for node in nodes],
            [node.numbers for node in nodes],
            results,
        )
        for port in range(results):
            self.slots.update({Value(node, port): first + port * lanes + i for i, node in enumerate(nodes)})

    def emit_extrema(self, nodes: Sequence[Node]) -> None:
        """Up to LANES series a step, every window of any of them for all."""
        wanted: dict[tuple[Value, float], dict[int, Node]] = {}
        for node in nodes:
            (x, n), sign = node.windows[0], node.numbers[0]
            wanted.setdefault((x, sign), {})[n] = node
        series_of_all = list(wanted)
        for begin in range(0, len(series_of_all), LANES):
            group = series_of_all[begin : begin + LANES]
            windows = sorted(set().union(*(wanted[lane] for lane in group)))
            level = [n.bit_length() - 1 for n in windows]
            lag = [n - (1 << k) for n, k in zip(windows, level, strict=True)]
            levels = max(level) + 1
            bases, masks = [], []
            for k in range(levels):
                reach = max([1 << k if k + 1 < levels else 0, *(b for j, b in zip(level, lag, strict=True) if j == k)])
                capacity = 1 << reach.bit_length()
                bases.append(self.allocate(capacity * LANES))
                masks.append(capacity - 1)
                self.initial.append((bases[-1], capacity * LANES, -np.inf))
            first = self.emit(
                "extrema",
                [[self.slots[x]] for x, _ in group],
                [[*self.rings[x], 0] for x, _ in group],
                [next(iter(wanted[lane].values())).numbers for lane in group],
                len(windows), [*bases, *masks, *level, *lag], levels, len(windows),
            )  # fmt: skip
            for i, lane in enumerate(group):
                for n, node in wanted[lane].items():
                    self.slots[Value(node)] = first + windows.index(n) * LANES + i

    def emit_push(self) -> None:
        """Pushes every series that has a place to its ring, where that is still to be done."""
        now = [x for x in self.rings if x not in self.pushed and x in self.slots]
        rings = [[*self.rings[x], 0] for x in now]
        self.emit("push", [[self.slots[x]] for x in now], rings, [[x.ready] for x in now], 0)
        self.pushed.update(now)

    def schedule(self) -> None:
        """As few steps as may be: a kind is emitted when all of its nodes are ready that wait for no other of it."""
        lanes = len(SERIES) + self.columns
        first = self.emit("bar", [()] * lanes, [()] * lanes, [()] * lanes, 1)
        self.slots = {node: first + int(node.node.numbers[0]) for node in _bar_values(self.nodes)}
        waiting = self.layers()
        while waiting:
            ready = {layer: [node for node in nodes if self.is_ready(node)] for layer, nodes in waiting.items()}
            whole = [layer for layer, nodes in waiting.items() if len(ready[layer]) == len(nodes)]
            # where kinds wait for one another, cheap steps that windows need let the windows be whole
            layer = (
                whole[0]
                if whole
                else max(waiting, key=lambda x: (x[0] in CHEAP and x[1] and ready[x] != [], len(ready[x])))
            )
            nodes = ready[layer]
            assert nodes, "a feature reads itself"
            if any(value not in self.pushed for node in nodes for value, _ in node.windows):
                self.emit_push()
            self.emit_nodes(nodes[0].kind, nodes)
            waiting[layer] = [node for node in waiting[layer] if node not in set(nodes)]
            if not waiting[layer]:
                del waiting[layer]

    def layers(self) -> dict[tuple[str, bool, int], list[Node]]:
        """The nodes by kind, by whether a window needs them, and by how many of these they wait for in turn."""
        needed: set[Node] = set()
        for node in reversed(self.nodes):
            if node.kind in WINDOWED or node in needed:
                needed.update((node, *(x.node for x in node.reads)))
        depths: dict[Node, dict[tuple[str, bool], int]] = {}
        layers: dict[tuple[str, bool, int], list[Node]] = {}
        for node in self.nodes:
            below: dict[tuple[str, bool], int] = {}
            for value in node.reads:
                for key, depth in depths[value.node].items():
                    below[key] = max(below.get(key, 0), depth)
            own = (node.kind, node in needed)
            if node.kind != "bar":
                layers.setdefault((*own, below.get(own, 0)), []).append(node)
            depths[node] = below | {own: below.get(own, 0) + 1}
        return layers

    def is_ready(self, node: Node) -> bool:
        """Whether all that it reads has a place."""
        return all(value in self.slots for value in node.reads)

    def compile(self) -> Plan:
        self.schedule()
        ready = [float(x.ready) for x in self.outputs]
        self.emit("output", [[self.slots[x]] for x in self.outputs], [()] * len(ready), [[x] for x in ready], 0)
        header = 8 + 8 * len(self.steps)
        sizes = (
            _round_up(len(p)) + _round_up(nodes.size) for p, nodes in zip(self.parameters, self.nodes_of, strict=True)
        )
        offsets = np.cumsum([header, *sizes])
        words = empty_words(int(offsets[-1])).view(np.int64)
        words[:] = 0
        words[:6] = [
            len(words), self.state_words, self.state_words + self.values, len(self.outputs), self.columns,
            len(self.steps),
        ]  # fmt: skip
        kinds = {kind.number: kind for kind in KINDS.values()}
        for i, (step, parameters) in enumerate(zip(self.steps, self.parameters, strict=True)):
            kind, lanes, values = kinds[step[0]], step[1], step[4]
            for result in range(kind.results):  # and bit 8 + r where result r of any of the nodes is read
                read = np.array([values + result * lanes + lane in self.read for lane in range(lanes)])
                parameters[self.flags[i]] += read.reshape(-1, LANES).any(axis=1) << np.int64(8 + result)
            parameters[: kind.sources * lanes] += self.state_words  # values are numbered behind the state
            self.nodes_of[i][: kind.sources] += self.state_words
            step[3] = int(offsets[i])
            step[4] += self.state_words
            words[8 + 8 * i : 16 + 8 * i] = step
            words[offsets[i] : offsets[i] + len(parameters)] = parameters
            nodes = offsets[i] + _round_up(len(parameters))
            words[nodes : nodes + self.nodes_of[i].size] = self.nodes_of[i].T.ravel()
        initial = empty_words(self.state_words)
        initial[:] = 0
        for first, count, number in self.initial:
            initial[first : first + count] = number
        words.flags.writeable = initial.flags.writeable = False
        running = [step for step in self.steps if kinds[step[0]] == KINDS["accumulate"]]
        totals = tuple(step[5] + i for step in running for i in range(step[2]))
        return Plan(words, initial, self.values, totals, np.array([x.ready for x in self.outputs]))


def _bar_values(nodes: Iterable[Node]) -> list[Value]:
    """Every value of a bar itself that is read, and the zero that nodes read that stand for nothing."""
    return [*(Value(node) for node in nodes if node.kind == "bar"), series("zero")]


def compile_plan(outputs: Sequence[Value], columns: int = 0) -> Plan:
    """The plan whose outputs are the given values, in their order, of bars with so many columns of the caller's."""
    return _Compiler(outputs, columns).compile()
