"""Products with sparse matrices over sizes, one thread, what makes such matrices, and what looking for zeros costs."""

import statistics
import time

import numpy as np

from .common import aligned, attribute

# sides, and the share of elements that are there
DENSITIES = {64: 0.05, 256: 0.01, 1024: 0.01, 4096: 0.001, 16384: 0.001}
COLUMNS = 64
PRODUCTS = ("vector", "rows", "columns", "vector transposed", "rows transposed", "sparse", "sampled")


def coordinates(n, density):
    """Places drawn evenly, by rows, without duplicates."""
    places = np.unique(np.random.default_rng(n).integers(0, n * n, round(density * n * n)))
    return places // n, places % n


def uniform(n, density, dtype):
    """A square csr_array with elements at random places."""
    row, column = coordinates(n, density)
    return attribute("sparse.csr_array").from_coo(aligned(row.size, dtype), row, column, (n, n))


class Square:
    """Products into a given array, but for sparse and sampled ones, whose results are new.

    By a vector; by 64 columns in rows, and in columns; the same of the transpose; by the matrix itself; of dense
    factors at its places. The matrix is the same in every call, so what is remembered of it is made before.
    """

    params = (list(DENSITIES), ["float32", "float64"], list(PRODUCTS))
    param_names = ("n", "dtype", "product")
    sample_time = 0.01
    warmup_time = 0.02

    def setup(self, n, dtype, product):
        attribute("set_num_threads")(1)
        matmul, sampled = attribute("matmul"), attribute("sparse.sampled_matmul")
        a = uniform(n, DENSITIES[n], dtype)
        left = a.T if product.endswith("transposed") else a
        if product == "sparse":
            self.call = lambda: a @ a
        elif product == "sampled":
            u, v = aligned((n, COLUMNS), dtype, 1), aligned((n, COLUMNS), dtype, 2)
            self.call = lambda: sampled(u, v.T, a)
        else:
            if product.startswith("vector"):
                x, out = aligned(n, dtype, 1), aligned(n, dtype, 2)
            else:
                x = aligned((COLUMNS, n), dtype, 1).T if product == "columns" else aligned((n, COLUMNS), dtype, 1)
                out = aligned((n, COLUMNS), dtype, 2)
            self.call = lambda: matmul(left, x, out=out)

    def time_call(self, n, dtype, product):
        self.call()


class Rows:
    """Products by a vector where rows differ: five elements each, many, and as in a graph with few hubs."""

    params = (["five", "many", "hubs"], ["float32", "float64"])
    param_names = ("rows", "dtype")
    sample_time = 0.01
    warmup_time = 0.02

    def setup(self, rows, dtype):
        attribute("set_num_threads")(1)
        matmul, csr_array = attribute("matmul"), attribute("sparse.csr_array")
        n, count = 20_000, 200_000
        rng = np.random.default_rng(0)
        lengths = {"five": np.full(n, 5), "many": np.full(1000, 200), "hubs": np.zeros(n, int)}[rows]
        if rows == "hubs":
            weight = np.arange(1, n + 1) ** -0.6
            lengths = rng.permutation(rng.multinomial(count, weight / weight.sum()))
        row = np.repeat(np.arange(lengths.size), lengths)
        column = rng.integers(0, n, row.size)
        a = csr_array.from_coo(aligned(row.size, dtype), row, column, (lengths.size, n))
        x, out = aligned(n, dtype, 1), aligned(lengths.size, dtype, 2)
        self.call = lambda: matmul(a, x, out=out)

    def time_call(self, rows, dtype):
        self.call()


class Making:
    """Of a dense array, of coordinates, of SciPy's three arrays; a transposed copy; the first products by a vector."""

    params = ([256, 1024, 4096], ["float32", "float64"], ["dense", "coordinates", "arrays", "tocsc", "first products"])
    param_names = ("n", "dtype", "source")
    sample_time = 0.01
    warmup_time = 0.02

    def setup(self, n, dtype, source):
        attribute("set_num_threads")(1)
        csr_array = attribute("sparse.csr_array")
        row, column = coordinates(n, 0.01)
        data = aligned(row.size, dtype)
        a = csr_array.from_coo(data, row, column, (n, n))
        arrays, x = (a.data, a.indices, a.indptr), aligned(n, dtype, 1)
        if source == "dense":
            dense = aligned((n, n), dtype, 2)
            dense[...] = a.toarray()
            self.call = lambda: csr_array.from_dense(dense)
        elif source == "coordinates":
            order = np.random.default_rng(1).permutation(row.size)
            row, column = row[order], column[order]
            self.call = lambda: csr_array.from_coo(data, row, column, (n, n))
        elif source == "arrays":
            self.call = lambda: csr_array(arrays, (n, n))
        elif source == "tocsc":
            self.call = a.tocsc
        else:
            self.call = lambda: self.twice(csr_array(arrays, (n, n)), x)

    @staticmethod
    def twice(a, x):
        """The second product makes the form that later ones take."""
        a @ x
        a @ x

    def time_call(self, n, dtype, source):
        self.call()


class Density:
    """The exact share of elements that are not zero."""

    params = ([64, 1024, 4096], ["float32", "float64"])
    param_names = ("n", "dtype")
    sample_time = 0.01
    warmup_time = 0.02

    def setup(self, n, dtype):
        self.density, self.dense = attribute("sparse.density"), aligned((n, n), dtype)

    def time_density(self, n, dtype):
        self.density(self.dense)


class Detection:
    """The time of ``method="gemm"`` over that of ``"auto"``, in turn, the median of the ratios.

    At density 1 it tells what looking for zeros costs, else what finding them saves.
    """

    params = ([512, 1024], ["float32", "float64"], [1.0, 0.02])
    param_names = ("n", "dtype", "density")
    timeout = 120

    def setup(self, n, dtype, density):
        attribute("set_num_threads")(1)
        matmul = attribute("matmul")
        a, b, c = (aligned((n, n), dtype, place) for place in range(3))
        if density < 1:
            a[...] = uniform(n, density, dtype).toarray()
        self.calls = [lambda method=method: matmul(a, b, out=c, method=method) for method in ("gemm", "auto")]

    def track_ratio(self, n, dtype, density):
        def seconds(call):
            start = time.perf_counter()
            call()
            return time.perf_counter() - start

        for call in self.calls:
            seconds(call)
        gemm, auto = self.calls
        return statistics.median(seconds(gemm) / seconds(auto) for _ in range(15))

    track_ratio.unit = "times the speed of the blocked product"
