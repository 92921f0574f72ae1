"""Compiles a list of feature values to a plan, and the state it starts from (features.h has the layout)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlopt.features.graph import Node, Value
from mlopt.features.layout import HEADER_WORDS, KINDS, LANES, SERIES
from mlopt.memory import empty_aligned

__all__ = ["Plan", "compile_plan", "empty_words"]

# in the order in which they are emitted when several are possible
ELEMENTWISE = ("logarithm", "product", "linear", "quotient", "root")
WINDOWED = ("lag", "sum", "weighted", "moments", "average", "extrema", "deviation", "accumulate")


def empty_words(count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """`count` words of 8 bytes, 64-byte aligned."""
    return empty_aligned(count, np.float64)


@dataclass(frozen=True)
class Plan:
    """A compiled feature set: constant, and shared by everything that streams it."""

    words: np.ndarray[Any, np.dtype[np.int64]]
    initial: np.ndarray[Any, np.dtype[np.float64]]
    ready: np.ndarray[Any, np.dtype[np.int64]]

    @property
    def digest(self) -> int:
        """Tells plans of different layout apart."""
        return zlib.crc32(self.words.tobytes())


def _round_up(count: int, to: int = LANES) -> int:
    return -(-count // to) * to


class _Compiler:
    def __init__(self, outputs: Sequence[Value]) -> None:
        self.outputs = outputs
        self.steps: list[list[int]] = []
        self.parameters: list[np.ndarray[Any, Any]] = []  # of each step, flat
        self.state_words = HEADER_WORDS
        self.initial: list[tuple[int, int, float]] = []  # ranges of the state that do not start as 0
        self.slots: dict[Value, int] = {}
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
                pending.extend((value.node, False) for value in reversed(node.inputs))
        return list(order)

    def allocate(self, words: int) -> int:
        first = self.state_words
        self.state_words += _round_up(words)
        return first

    def place_rings(self) -> dict[Value, tuple[int, int]]:
        """Base and mask of the ring of each series that something looks back at, long enough for the longest."""
        reach: dict[Value, int] = {}
        for node in self.nodes:
            source = node.inputs[1] if node.kind == "deviation" else node.inputs[0] if node.inputs else None
            window = {"lag": 0, "sum": 0, "weighted": 0, "moments": 0, "deviation": 0, "extrema": 1}.get(node.kind)
            if source is not None and window is not None:
                reach[source] = max(reach.get(source, 0), int(node.numbers[window]))
        rings = {}
        for source, bars in reach.items():
            capacity = 1 << bars.bit_length()  # more than `bars`
            rings[source] = (self.allocate(2 * capacity), capacity - 1)
        return rings

    def emit(
        self, kind: str, rows: Sequence[Sequence[float]], pads: Sequence[float] | None = None, ports: int = 1,
        tail: Sequence[int] = (), levels: int = 0, windows: int = 0,
    ) -> int:  # fmt: skip
        """Appends a step; `rows` has one sequence of parameters per lane.  Returns where its values begin."""
        number, parameter_rows, state_rows = KINDS[kind]
        used, lanes = len(rows), _round_up(len(rows))
        words = np.zeros((parameter_rows, lanes), np.int64)
        for row in range(parameter_rows):
            pad = pads[row] if pads else self.slots[ZERO]
            column = [lane[row] for lane in rows] + [pad] * (lanes - used)
            is_index = all(type(x) is int for x in column)
            words[row] = np.array(column, np.int64 if is_index else np.float64).view(np.int64)
        self.parameters.append(np.concatenate([words.ravel(), np.array(tail, np.int64)]))
        values = self.allocate(ports * lanes)
        state = self.allocate(state_rows * lanes)
        self.steps.append([number, lanes, used, 0, values, state, levels, windows])
        return values

    def emit_nodes(self, kind: str, nodes: Sequence[Node]) -> None:
        if kind == "extrema":
            self.emit_extrema(nodes)
            return
        zero = self.slots[ZERO]
        slot = self.slots
        rows: list[list[float]] = []
        for node in nodes:
            inputs = [slot[x] for x in node.inputs]
            numbers = [float(x) for x in node.numbers]
            source = node.inputs[0] if node.inputs else ZERO
            ring = list(self.rings.get(source, (0, 0)))
            if kind == "lag":
                rows.append([*ring, int(node.numbers[0])])
            elif kind in ("sum", "weighted"):
                rows.append([inputs[0], *ring, int(node.numbers[0]), *numbers, float(source.ready), *inputs[1:]])
            elif kind == "moments":
                rows.append([inputs[0], *ring, int(node.numbers[0]), *numbers, float(source.ready)])
            elif kind == "deviation":
                rows.append([inputs[0], *self.rings[node.inputs[1]], int(node.numbers[0])])
            elif kind == "accumulate":
                rows.append([*inputs, float(source.ready)])
            else:
                rows.append([*inputs, *numbers])
        # lanes that stand for nothing read the zero, and never reach their first bar
        paddings: dict[str, list[float]] = {
            "lag": [zero, 0, 0],
            "linear": [zero, zero, 0.0, 0.0, 0.0],
            "quotient": [zero] * 4 + [0.0] * 4,
            "root": [zero, 0.0],
            "sum": [zero, zero, 0, 0, 1.0, 1.0, 0.0],
            "weighted": [zero, zero, 0, 0, 1.0, 1.0, 0.0, zero],
            "moments": [zero, zero, 0, 0, 1.0, float("inf")],
            "average": [zero, 0.0, 0.0, 0.0],
            "deviation": [zero, zero, 0, 0],
            "accumulate": [zero, float("inf")],
        }
        pads = paddings.get(kind, [zero] * 2)
        ports = 2 if kind == "moments" else 1
        first, lanes = self.emit(kind, rows, pads, ports), _round_up(len(rows))
        for port in range(ports):
            self.slots.update({Value(node, port): first + port * lanes + i for i, node in enumerate(nodes)})

    def emit_extrema(self, nodes: Sequence[Node]) -> None:
        """Up to LANES series a step, every window of any of them for all."""
        wanted: dict[tuple[Value, float], set[int]] = {}
        for node in nodes:
            wanted.setdefault((node.inputs[0], node.numbers[0]), set()).add(int(node.numbers[1]))
        lanes = list(wanted)
        for begin in range(0, len(lanes), LANES):
            group = lanes[begin : begin + LANES]
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
            rows = [[self.slots[x], float(sign), float(x.ready), *self.rings[x]] for x, sign in group]
            pads = [self.slots[ZERO], 1.0, float("inf"), self.slots[ZERO], 0]
            first = self.emit("extrema", rows, pads, len(windows), [*bases, *masks, *level, *lag], levels, len(windows))
            for i, (x, sign) in enumerate(group):
                for n in wanted[x, sign]:
                    node = Node("extrema", (x,), (int(sign), n), x.ready + n - 1)
                    self.slots[Value(node)] = first + windows.index(n) * LANES + i

    def emit_push(self, pushed: set[Value]) -> None:
        now = [x for x in self.rings if x not in pushed and x in self.slots]
        if now:
            rows = [[self.slots[x], *self.rings[x], x.ready] for x in now]
            self.emit("push", rows, [self.slots[ZERO], self.slots[ZERO], 0, 0], ports=0)
            pushed.update(now)

    def can_emit(self, node: Node, pushed: set[Value]) -> bool:
        """Whether what it reads is there; for a window, in the ring too."""
        windowed = node.kind in WINDOWED
        return all(x in self.slots and not (windowed and x in self.rings and x not in pushed) for x in node.inputs)

    def schedule(self) -> None:
        """Elementwise steps as soon as a window needs them, else last; as few steps of a kind as that allows."""
        self.slots[ZERO] = 0  # until the first step has a place: bar has no parameters
        first = self.emit("bar", [[]] * len(SERIES))
        self.slots = {Value(Node("bar", (), (s,), start)): first + s for s, start in SERIES.values()}
        needed: set[Node] = set()
        for node in reversed(self.nodes):
            if node.kind in WINDOWED or node in needed:
                needed.update(x.node for x in node.inputs)
        waiting = [node for node in self.nodes if node.kind != "bar"]
        pushed: set[Value] = set()

        def emit_ready(kinds: Sequence[str], among: Iterable[Node]) -> bool:
            emitted = False
            candidates = set(among)
            for kind in kinds:
                nodes = [n for n in waiting if n.kind == kind and n in candidates and self.can_emit(n, pushed)]
                if nodes:
                    self.emit_nodes(kind, nodes)
                    waiting[:] = [n for n in waiting if n not in set(nodes)]
                    emitted = True
            return emitted

        while waiting:
            while emit_ready(ELEMENTWISE, needed):
                pass
            self.emit_push(pushed)
            if not emit_ready(WINDOWED, waiting):
                break
        while emit_ready(ELEMENTWISE, waiting):
            pass
        assert not waiting, "a feature reads itself"

    def compile(self) -> Plan:
        self.schedule()
        rows = [[self.slots[x], float(x.ready)] for x in self.outputs]
        self.emit("output", rows, [self.slots[ZERO], 0.0], ports=0)
        header = 8 + 8 * len(self.steps)
        offsets = np.cumsum([header, *(_round_up(len(p)) for p in self.parameters)])
        words = empty_words(int(offsets[-1])).view(np.int64)
        words[:] = 0
        words[:4] = [len(words), self.state_words, len(self.outputs), len(self.steps)]
        for i, (step, parameters) in enumerate(zip(self.steps, self.parameters, strict=True)):
            step[3] = offsets[i]
            words[8 + 8 * i : 16 + 8 * i] = step
            words[offsets[i] : offsets[i] + len(parameters)] = parameters
        initial = empty_words(self.state_words)
        initial[:] = 0
        for first, count, number in self.initial:
            initial[first : first + count] = number
        words.flags.writeable = initial.flags.writeable = False
        return Plan(words, initial, np.array([x.ready for x in self.outputs]))


ZERO = Value(Node("bar", (), (SERIES["zero"][0],), 0))


def compile_plan(outputs: Sequence[Value]) -> Plan:
    """The plan whose outputs are the given values, in their order."""
    return _Compiler(outputs).compile()
