"""Sparse matrices that products are measured on: random ones, and some as they occur."""

from __future__ import annotations

import re
import sysconfig
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np

import mlopt

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]
Csr = mlopt.sparse.csr_array

WORD = re.compile(r"[^\W\d_]\w+")
DOCUMENTS = 1500  # files of the standard library


@cache
def uniform(n: int, density: float, dtype: str = "float64") -> Csr:
    """n x n with elements at places drawn evenly: the matrix of the targets.

    Examples
    --------
    >>> from mlopt.targets.matrices import uniform
    >>> uniform(100, 0.01).shape
    (100, 100)
    """
    rng = np.random.default_rng(n)
    places = np.sort(rng.choice(n * n, round(density * n * n), replace=False))
    return Csr.from_coo(rng.random(places.size).astype(dtype), places // n, places % n, (n, n))


@cache
def laplacian(side: int) -> Csr:
    """The Laplacian of a square grid of side² nodes: five elements a row, in five diagonals.

    Examples
    --------
    >>> from mlopt.targets.matrices import laplacian
    >>> float(abs(laplacian(10) @ np.ones(100)).max())
    0.0
    """
    node = np.arange(side * side).reshape(side, side)
    right, down = (node[:, :-1].ravel(), node[:, 1:].ravel()), (node[:-1].ravel(), node[1:].ravel())
    row = np.concatenate([right[0], right[1], down[0], down[1]])
    column = np.concatenate([right[1], right[0], down[1], down[0]])
    degree = np.bincount(row, minlength=side * side)
    return Csr.from_coo(
        np.concatenate([-np.ones(row.size), degree.astype(float)]),
        np.concatenate([row, node.ravel()]),
        np.concatenate([column, node.ravel()]),
        (side * side, side * side),
    )


@cache
def power_law(nodes: int, edges: int, exponent: float = 0.6) -> Csr:
    """The adjacency of a graph whose nodes draw edges by their rank to a power: a few rows are very long.

    Examples
    --------
    >>> from mlopt.targets.matrices import power_law
    >>> lengths = np.diff(power_law(1000, 10000).indptr)
    >>> bool(lengths.max() > 5 * lengths.mean())
    True
    """
    rng = np.random.default_rng(nodes)
    weight = np.arange(1, nodes + 1) ** -exponent
    ends = rng.choice(nodes, (2, edges), p=weight / weight.sum())
    ends = rng.permutation(nodes)[ends]
    places = np.unique(ends[0] * nodes + ends[1])
    return Csr.from_coo(np.ones(places.size), places // nodes, places % nodes, (nodes, nodes))


@cache
def words() -> Csr:
    """Term frequencies times inverse document frequencies of the sources of the standard library, a row a file.

    scikit-learn's definition: tf (ln((1 + n) / (1 + df)) + 1), rows of length 1.

    Examples
    --------
    >>> from mlopt.targets.matrices import words
    >>> lengths = np.diff(words().indptr)
    >>> lengths.size > 100
    True
    """
    folder = Path(sysconfig.get_path("stdlib"))
    files = sorted(path for path in folder.rglob("*.py") if "site-packages" not in path.parts)[:DOCUMENTS]
    counts = [Counter(WORD.findall(path.read_text(errors="replace").lower())) for path in files]
    vocabulary = {word: place for place, word in enumerate(sorted(set().union(*counts)))}
    row = np.repeat(np.arange(len(counts)), [len(count) for count in counts])
    column = np.array([vocabulary[word] for count in counts for word in count])
    frequency = np.array([number for count in counts for number in count.values()], float)
    rarity = np.log((1 + len(counts)) / (1 + np.bincount(column, minlength=len(vocabulary)))) + 1
    value = frequency * rarity[column]
    value /= np.sqrt(np.bincount(row, value * value, minlength=len(counts)))[row]
    return Csr.from_coo(value, row, column, (len(counts), len(vocabulary)))
