"""Products of bytes over sizes, one thread, and how they compare with this library's float32 products.

A size that takes longer than a blink is measured once, as a rate.
"""

import statistics
import time

import numpy as np

from .common import aligned, attribute

FORMS = ("sums", "packed", "signed", "requantised")


def make_call(n, form):
    """u8 x s8 to int32; from b packed before; s8 x s8; and from b packed before to u8."""
    matmul, pack = attribute("matmul_int8"), attribute("linalg.PackedInt8Matrix")
    rng = np.random.default_rng(n)
    a, b = aligned((n, n), np.uint8, 0), aligned((n, n), np.int8, 1)
    a[...], b[...] = rng.integers(0, 256, (n, n), np.uint8), rng.integers(-128, 128, (n, n), np.int8)
    left, right = a.view(np.int8) if form == "signed" else a, b if form in ("sums", "signed") else pack(b)
    if form != "requantised":
        c = aligned((n, n), np.int32, 2)
        return lambda: matmul(left, right, c, num_threads=1)
    c, scale = aligned((n, n), np.uint8, 2), np.float32(40 / (74 * 74 * n**0.5))
    return lambda: matmul(left, right, c, a_zero_point=128, scale=scale, out_zero_point=128, num_threads=1)


class Square:
    """Square products into a given array."""

    params = ([32, 64, 100, 128, 256, 500, 512, 1000, 1024], list(FORMS))
    param_names = ("n", "form")
    sample_time = 0.01
    warmup_time = 0.02

    def setup(self, n, form):
        self.call = make_call(n, form)

    def time_out(self, n, form):
        self.call()


class Large:
    """The same where a product takes tens of milliseconds: multiplications and additions per second, once."""

    params = ([2048], list(FORMS))
    param_names = ("n", "form")
    timeout = 120

    def setup(self, n, form):
        make_call(64, form)()
        self.call = make_call(n, form)

    def track_rate(self, n, form):
        start = time.perf_counter()
        self.call()
        return 2e-9 * n**3 / (time.perf_counter() - start)

    track_rate.unit = "GOP/s"


class AgainstFloats:
    """The time of a float32 product over that of bytes, in turn, the median of the ratios."""

    params = ([32, 128, 512, 2048], list(FORMS))
    param_names = ("n", "form")
    timeout = 120

    def setup(self, n, form):
        matmul = attribute("matmul")
        a, b, c = (aligned((n, n), np.float32, place) for place in range(3))
        self.floats = lambda: matmul(a, b, out=c, num_threads=1)
        self.bytes = make_call(n, form)

    def track_ratio(self, n, form):
        count = max(1, 2_000_000 // n**3)

        def seconds(call):
            start = time.perf_counter()
            for _ in range(count):
                call()
            return time.perf_counter() - start

        seconds(self.floats), seconds(self.bytes)
        return statistics.median(seconds(self.floats) / seconds(self.bytes) for _ in range(9))

    track_ratio.unit = "times the speed of float32"
