"""Allocations that fail: one in a few of the slab pool's, and all of a process's beyond its limit."""

from __future__ import annotations

import contextlib
import gc
import itertools
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import mlopt
from mlopt.concurrent import Histogram
from mlopt.features import FeatureExtractor, Scaler
from mlopt.memory.pool import fail_every, pool_statistics, trim
from mlopt.nn import MLP
from mlopt.soak.loads.base import Load, Setting

CHILD_SECONDS = 60.0
ROUNDS_PER_CHILD = 400


def operations(seed: int) -> dict[str, Callable[[], bytes]]:
    """Work that allocates from the slab pool, each with a result that is always the same."""
    rng = np.random.default_rng([seed, 11])
    a, b = rng.standard_normal((2, 96, 96))
    wide = rng.standard_normal((40, 700))
    rows = rng.standard_normal((300, 64)).astype(np.float32)
    labels = rng.standard_normal((300, 3)).astype(np.float32)
    bars = np.abs(np.cumsum(rng.standard_normal(600))) + 100
    history = np.stack([bars, bars + 1, bars - 1, bars, bars], axis=1)
    model = MLP([64, 48, 3], rng=seed)
    quantized = mlopt.quantize(rows)

    def network() -> bytes:
        trained = model.copy()
        trained.train_step(rows, labels)
        return b"".join(part.tobytes() for layer in trained.parameters for part in layer)

    def extractor() -> bytes:
        return FeatureExtractor(["lag_1", "sma_20", "rsi_14"]).transform(history).tobytes()

    def histogram() -> bytes:
        counts = Histogram()
        counts.record(1000)
        return str(counts.to_dict()).encode()

    return {
        "matmul": lambda: mlopt.matmul(a, b).tobytes(),
        "packed": lambda: mlopt.matmul(wide, mlopt.linalg.PackedMatrix(wide.T.copy())).tobytes(),
        "strassen": lambda: mlopt.matmul(a, b, method="strassen").tobytes(),
        "svd": lambda: mlopt.linalg.randomized_svd(wide, 4, rng=seed).S.tobytes(),
        "predict": lambda: model.predict(rows).tobytes(),
        "network": network,
        "extractor": extractor,
        "scaler": lambda: Scaler(64).fit(rows.astype(np.float64)).get_state(),
        "histogram": histogram,
        "dequantize": lambda: mlopt.dequantize(quantized).tobytes(),
        "aligned": lambda: mlopt.zeros_aligned((200, 300)).tobytes(),
        "softmax": lambda: mlopt.softmax(wide[:, ::2], axis=0).tobytes(),
    }


class Failures(Load):
    """Every operation either does its work or raises MemoryError; afterwards it does its work, and nothing was lost."""

    name = "failures"
    title = "every 1st to 5th block refused to a dozen operations; children that reach RLIMIT_AS"
    passing_children = True

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._counts = dict.fromkeys(("records", "refused", "memory_errors", "children", "wrong", "lost"), 0)

    def start(self) -> None:
        """Start the thread."""
        self.spawn("failures", self._run)

    def _run(self) -> None:
        work = operations(self.setting.seed)
        expected = {name: operation() for name, operation in work.items()}
        expected = {name: operation() for name, operation in work.items()}  # what the first calls keep for good is kept
        for number in itertools.count():
            for name, operation in work.items():
                if self.stopping.is_set():
                    return
                self._refuse(name, operation, expected[name], 1 + (number + int(self.rng.integers(5))) % 5)
            if number % ROUNDS_PER_CHILD == 0 and sys.platform.startswith("linux"):
                self._child()

    def _refuse(self, name: str, operation: Callable[[], bytes], expected: bytes, period: int) -> None:
        """One operation while blocks are refused, and once more when they are not."""
        gc.collect(0)
        trim()
        in_use = pool_statistics()["blocks_in_use"]
        result = None
        fail_every(period)
        try:
            result = operation()
        except MemoryError:
            self._counts["memory_errors"] += 1
        finally:
            refused = fail_every(0)
        self._counts["refused"] += refused
        if result is not None and result != expected:
            self._counts["wrong"] += 1
            self.note(f"{name} with every {period}th block refused gave another result")
        if operation() != expected:
            self._counts["wrong"] += 1
            self.note(f"{name} gave another result after a failure")
        held = pool_statistics()["blocks_in_use"] - in_use
        if held > 0:
            gc.collect()
            held = pool_statistics()["blocks_in_use"] - in_use
        if held > 0 and refused:
            self._counts["lost"] += held
            self.note(f"{name} with every {period}th block refused kept {held} blocks")
        self._counts["records"] += 1

    def _child(self) -> None:
        """A process of its own that comes to its limit of memory."""
        with subprocess.Popen(
            [sys.executable, "-m", "mlopt.soak.loads.failures", str(self.setting.seed)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            try:
                _, told = child.communicate(timeout=CHILD_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                _, told = child.communicate()
                told = f"did not end within {CHILD_SECONDS:g} s\n{told}"
        self._counts["children"] += 1
        if child.returncode:
            self.error(f"the process at its limit of memory ended with {child.returncode}: {told[-1500:]}")

    def work_done(self) -> Mapping[str, int]:
        """Operations, blocks refused, MemoryErrors, children, results that were wrong, blocks that were lost."""
        return dict(self._counts)


def at_the_limit(seed: int) -> None:
    """Take memory until there is none, then less, and do all operations in what is left.  Raises what goes wrong."""
    import resource

    work = operations(seed)
    expected = {name: operation() for name, operation in work.items()}
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), resource.RLIM_INFINITY))
    held: list[Any] = []
    for size in (64 << 20, 8 << 20, 1 << 20):
        with contextlib.suppress(MemoryError):
            held.extend(mlopt.zeros_aligned(size, np.uint8) for _ in range(1000))
            raise RuntimeError(f"1000 blocks of {size} bytes were given beyond the limit")
    errors = 0
    for _ in range(3):
        for name, operation in work.items():
            try:
                result = operation()
            except MemoryError:
                errors += 1
                continue
            if result != expected[name]:
                raise RuntimeError(f"{name} gave another result at the limit of memory")
    held.clear()
    trim()
    for name, operation in work.items():
        if operation() != expected[name]:
            raise RuntimeError(f"{name} gave another result after the limit of memory")
    print(f"{errors} of {3 * len(work)} operations had no memory")


if __name__ == "__main__":
    at_the_limit(int(sys.argv[1]))
