"""Matrix products over sizes, types and methods, and vector operations over sizes; one thread.

A size that takes longer than a blink is measured once, as a rate.
"""

import time

import numpy as np

from .common import aligned, attribute

METHODS = ("gemm", "strassen", "auto")
STRASSEN_FROM = 128


class Square:
    """Square products into a given array."""

    params = ([16, 64, 100, 128, 256, 500, 512, 1000, 1024], ["float32", "float64"], list(METHODS))
    param_names = ("n", "dtype", "method")
    sample_time = 0.01
    warmup_time = 0.02

    def setup(self, n, dtype, method):
        if method != "gemm" and n < STRASSEN_FROM:
            raise NotImplementedError(f"method {method!r} computes as 'gemm' does below {STRASSEN_FROM}")
        self.call = make_call(n, dtype, method)

    def time_out(self, n, dtype, method):
        self.call()


class Large:
    """The same where a product takes a second: multiplications and additions per second, once."""

    params = ([2048, 4096], ["float32", "float64"], list(METHODS))
    param_names = ("n", "dtype", "method")
    timeout = 120

    def setup(self, n, dtype, method):
        make_call(64, dtype, method)()
        self.call = make_call(n, dtype, method)

    def track_rate(self, n, dtype, method):
        start = time.perf_counter()
        self.call()
        return 2e-9 * n**3 / (time.perf_counter() - start)

    track_rate.unit = "GFLOP/s"


class Shapes:
    """A few of the 200 shapes: a vector, few rows, few columns, a short and a long sum, primes."""

    params = (
        ["1x4096x1024 nt", "7x768x768 nt", "64x3136x64 nn", "128x64x128 nn", "512x49x2048 nn", "64x64x100003 tn",
         "1999x2003x17 nn", "251x263x1009 tt"],
        ["float32", "float64"],
    )  # fmt: skip
    param_names = ("shape", "dtype")
    sample_time = 0.01
    warmup_time = 0.02

    def setup(self, shape, dtype):
        matmul, (sizes, layout) = attribute("matmul"), shape.split(" ")
        m, n, k = map(int, sizes.split("x"))
        a = aligned((m, k) if layout[0] == "n" else (k, m), dtype, 0)
        b = aligned((k, n) if layout[1] == "n" else (n, k), dtype, 1)
        c = aligned((m, n), dtype, 2)
        a, b = a if layout[0] == "n" else a.T, b if layout[1] == "n" else b.T
        self.call = lambda: matmul(a, b, out=c, num_threads=1)

    def time_out(self, shape, dtype):
        self.call()


class Vector:
    """Vector operations from Python."""

    params = (
        ["dot", "axpy", "sum", "max", "add", "multiply", "exp", "tanh", "sigmoid", "softmax"],
        ["float32", "float64"],
        [1 << 10, 1 << 14, 1 << 20],
    )
    param_names = ("function", "dtype", "n")
    sample_time = 0.01
    warmup_time = 0.02

    def setup(self, name, dtype, n):
        function = attribute(name)
        x, y, out = (aligned(n, dtype, place) for place in range(3))
        arguments = {"dot": (x, y), "axpy": (1e-6, x, y), "sum": (x,), "max": (x,)}.get(name)
        if name in ("add", "multiply"):
            arguments = (x, y, out)
        if arguments is None:
            self.call = lambda: function(x, out=out)
        else:
            self.call = lambda: function(*arguments)

    def time_call(self, name, dtype, n):
        self.call()


def make_call(n, dtype, method):
    """A product by one method; skipped where this version does not have it."""
    matmul = attribute("matmul")
    try:
        matmul(np.ones((1, 1)), np.ones((1, 1)), method=method)
    except ValueError as error:
        raise NotImplementedError(str(error)) from error
    a, b, c = (aligned((n, n), dtype, place) for place in range(3))
    if method != "auto":
        return lambda: matmul(a, b, out=c, method=method, num_threads=1)
    flags = attribute("flags")  # without it, "auto" is "gemm"

    def call():
        with flags(strassen=True):
            matmul(a, b, out=c, num_threads=1)

    return call
