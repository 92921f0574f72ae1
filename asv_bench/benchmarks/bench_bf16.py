"""Products of bfloat16 over sizes, one thread, and training in it against float32."""

import statistics
import time

import numpy as np

from .common import aligned, attribute

try:
    from mlopt._kernels.core import current_isa
    from mlopt.linalg import bf16
except ImportError:
    bf16 = None

# what A, B and C are, and whether B is packed before
FORMS = {"packed": ("uint16", "uint16", "float32", True), "floats": ("float32", "float32", "float32", False),
         "short": ("uint16", "uint16", "uint16", False)}  # fmt: skip
NETWORKS = ("MLP", "LSTM")


def make_product(n, form):
    if bf16 is None:
        raise NotImplementedError("no products of bfloat16 in this version")
    *types, packed = FORMS[form]
    a, b, c = (aligned((n, n), dtype, place) for place, dtype in enumerate(types))
    values = np.random.default_rng(n).standard_normal((n, n)).astype(np.float32)
    for x in (a, b):
        x[...] = values if x.dtype == np.float32 else values.view(np.uint32) >> 16
    return bf16.Product(a, b, c, current_isa(), packed=packed)


class Square:
    """Square products."""

    params = ([32, 64, 100, 256, 512, 1000, 1024, 2048], list(FORMS))
    param_names = ("n", "form")
    sample_time = 0.01
    warmup_time = 0.02

    def setup(self, n, form):
        self.call = make_product(n, form)

    def time_product(self, n, form):
        self.call()


class Training:
    """The time of a step in float32 over that with products in bfloat16, in turn, the median of the ratios."""

    params = (list(NETWORKS), [16, 64, 256])
    param_names = ("network", "batch")
    timeout = 120

    def setup(self, network, batch):
        kind = attribute(f"nn.{network}")
        sizes, shape, outputs = {
            "MLP": (([100, 256, 256, 10],), (batch, 100), 10), "LSTM": ((100, 128, 2), (batch, 30, 100), 128),
        }[network]  # fmt: skip
        try:
            models = [kind(*sizes, rng=0, precision=precision) for precision in ("full", "bf16")]
        except TypeError:
            raise NotImplementedError("no precision in this version") from None
        rng = np.random.default_rng(0)
        x = rng.standard_normal(shape).astype(np.float32)
        y = rng.standard_normal((batch, outputs)).astype(np.float32)
        self.steps = [lambda model=model: model.train_step(x, y) for model in models]

    def track_ratio(self, network, batch):
        def seconds(step):
            start = time.perf_counter()
            for _ in range(10):
                step()
            return time.perf_counter() - start

        for step in self.steps:
            seconds(step)
        full, short = self.steps
        return statistics.median(seconds(full) / seconds(short) for _ in range(9))

    track_ratio.unit = "times the speed of float32"
