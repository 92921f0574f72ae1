"""Products of sparse matrices."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

import mlopt
from mlopt.targets import matrices, peers
from mlopt.targets.contest import OURS, Contest, NotHere, Options
from mlopt.targets.measure import Batch, calls
from mlopt.targets.memory import aligned_copy
from mlopt.targets.result import MEASURED, Row

COLUMNS = 64
Operation = Callable[[Any, Any, Any], object]


@dataclass(frozen=True)
class Work:
    """A sparse matrix, and everyone's ways to multiply it by a vector, by 64 columns and by itself.

    Peers get what users of theirs have: SciPy's csr_array, and what PyTorch and MKL make of the same arrays. Everyone
    returns a new result. The same matrix is multiplied again and again, as in an iteration: forms that are made once,
    with the first products, are made before the measurement, whoever makes them.
    """

    matrix: Any

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape

    @cached_property
    def vector(self) -> np.ndarray:
        return aligned_copy(np.random.default_rng(1).random(self.shape[1]))

    @cached_property
    def block(self) -> np.ndarray:
        return aligned_copy(np.random.default_rng(2).random((self.shape[1], COLUMNS)), place=1)

    @cached_property
    def right(self) -> Any:
        """What the sparse product takes on its right: the matrix, or its transpose where it is not square."""
        return self.matrix if self.shape[0] == self.shape[1] else self.matrix.T.tocsr()

    @cached_property
    def scipy(self) -> tuple[Any, Any]:
        return self.matrix.to_scipy(copy=True), self.right.to_scipy(copy=True)

    @cached_property
    def torch(self) -> tuple[Any, Any]:
        torch = peers.find("torch")
        assert torch is not None

        def tensor(a: Any) -> Any:
            return torch.sparse_csr_tensor(*(torch.from_numpy(x) for x in (a.indptr, a.indices, a.data)), a.shape)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the class is in beta state
            return tensor(self.scipy[0]), tensor(self.scipy[1])

    def operations(self) -> dict[str, dict[str, Batch]]:
        """For each product, for each library, its work."""
        a, right = self.matrix, self.right
        x, block = self.vector, self.block
        found: dict[str, dict[str, Batch]] = {
            "SpMV": {OURS: calls(lambda: a @ x)},
            "SpMM": {OURS: calls(lambda: a @ block)},
            "SpGEMM": {OURS: calls(lambda: a @ right)},
        }
        if peers.find("scipy") is not None:
            theirs, their_right = self.scipy
            self._add(found, peers.label("scipy"), lambda a, b: a @ b, theirs, (x, block, their_right))
            if (mkl := peers.find("sparse_dot_mkl")) is not None:
                self._add(found, peers.label("sparse_dot_mkl"), mkl.dot_product_mkl, theirs, (x, block, their_right))
            if (torch := peers.find("torch")) is not None:
                tensor, tensor_right = self.torch
                operands = (torch.from_numpy(x), torch.from_numpy(block), tensor_right)
                self._add(found, peers.label("torch"), lambda a, b: a @ b, tensor, operands)
        return found

    @staticmethod
    def _add(
        found: dict[str, dict[str, Batch]], label: str, multiply: Callable[[Any, Any], Any], a: Any, right: tuple[Any, ...]
    ) -> None:
        for name, b in zip(found, right, strict=True):
            found[name][label] = calls(lambda b=b: multiply(a, b))


def compare(row: Row, work: Work, title: str, options: Options, dense: dict[str, Batch] | None = None) -> None:
    """Every product of one matrix: a line of details each, and the worst ratios so far."""
    for name, batches in work.operations().items():
        contest = Contest(
            ours=batches.pop(OURS),
            peers=batches if options.peers else {},
            variants={"dense": dense[name]} if dense else {},
        )
        slow = {"min_rounds": 3} if dense else {}
        rounds = contest.measure(options.seconds / 2, **slow)
        line: dict[str, Any] = {
            "matrix": title,
            "product": name,
            "µs": rounds.seconds(OURS).median * 1e6,
            "ns a multiplication": rounds.seconds(OURS).median * 1e9 / multiplications(work, name),
        }
        if dense:
            line["dense ÷ ours"] = rounds.ratio("variant dense", of=OURS).median
            lower(row, "vs_dense", line["dense ÷ ours"])
        best = None
        for label in contest.peers:
            ratio = rounds.ratio(f"peer {label}", of=OURS).median
            line[f"{label.split()[0]} ÷ ours"] = ratio
            best = ratio if best is None else min(best, ratio)
        if best is not None:
            lower(row, "vs_peer", best)
            lower(row, f"vs_peer_{name.lower()}", best)
        row.details.append(line)
    row.status = MEASURED


def multiplications(work: Work, name: str) -> float:
    if name == "SpMV":
        return float(work.matrix.nnz)
    if name == "SpMM":
        return float(work.matrix.nnz * COLUMNS)
    return float(np.diff(work.right.indptr)[work.matrix.indices].sum())


def lower(row: Row, metric: str, ratio: float) -> None:
    row.metrics[metric] = min(row.metrics.get(metric, ratio), ratio)


def measure_sparse_vs_dense(row: Row, options: Options) -> None:
    """The three products of the 4096² matrix, against the dense kernels of this library and against the peers."""
    work = Work(matrices.uniform(4096, 0.001))
    full = aligned_copy(work.matrix.toarray(), place=2)
    x, block = work.vector, work.block
    dense = {
        "SpMV": calls(lambda: mlopt.matmul(full, x)),
        "SpMM": calls(lambda: mlopt.matmul(full, block, method="gemm")),
        "SpGEMM": calls(lambda: mlopt.matmul(full, full, method="gemm")),
    }
    compare(row, work, "4096², 0.1 %", options, dense)
    notes(row)


def measure_sparse_sizes(row: Row, options: Options) -> None:
    """Larger, and less sparse."""
    for n, density in ((16384, 0.001), (4096, 0.01)):
        compare(row, Work(matrices.uniform(n, density)), f"{n}², {density:.2g}", options)
    notes(row)


def measure_sparse_real(row: Row, options: Options) -> None:
    """Matrices as they occur."""
    for title, matrix in (
        ("words of 1500 files", matrices.words()),
        ("grid Laplacian, 512²", matrices.laplacian(512)),
        ("power-law graph", matrices.power_law(50_000, 300_000)),
    ):
        compare(row, Work(matrix), f"{title}: {matrix.shape[0]}×{matrix.shape[1]}, {matrix.nnz} elements", options)
    notes(row)


def notes(row: Row) -> None:
    if peers.find("scipy") is None:
        raise NotHere("SciPy is not installed")
    for metric, ratio in row.metrics.items():
        row.notes.append(f"{metric}: {ratio:.3g} at worst")
