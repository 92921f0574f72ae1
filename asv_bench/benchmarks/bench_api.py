"""What small calls cost from Python."""

import numpy as np

from .common import aligned, attribute


class Vectors:
    """Functions of two short vectors: mostly the call."""

    params = ([16, 1024],)
    param_names = ("n",)

    def setup(self, n):
        self.x, self.y, self.out = (aligned(n, "float32", place) for place in range(3))

    def time_add(self, n):
        ADD(self.x, self.y, self.out)

    def time_exp(self, n):
        EXP(self.x, self.out)


class Reductions:
    """Doors to reductions; skipped where this version has none."""

    params = (["dot", "axpy", "sum", "max", "softmax"], [16, 1024])
    param_names = ("function", "n")

    def setup(self, name, n):
        function = attribute(name)
        x, y = (aligned(n, "float32", place) for place in range(2))
        arguments = {"dot": (x, y), "axpy": (1e-6, x, y)}.get(name, (x,))
        self.call = lambda: function(*arguments)

    def time_call(self, name, n):
        self.call()


class Quantization:
    """float32 to int8 and back."""

    params = ([100, 1024, 100_000, 1_000_000], [None, 1])
    param_names = ("n", "axis")

    def setup(self, n, axis):
        quantize = attribute("quantize")
        x = aligned(n, "float32") if axis is None else aligned((n // 100, 100), "float32")
        self.quantized = quantize(x, axis=axis)
        self.call = lambda: quantize(x, axis=axis)
        self.given = lambda: quantize(x, axis=axis, scale=self.quantized.scale)

    def time_quantize(self, n, axis):
        self.call()

    def time_quantize_with_scale(self, n, axis):
        self.given()

    def time_dequantize(self, n, axis):
        self.quantized.dequantize()


class Matmul:
    """Square products into a given array, one thread."""

    params = ([8, 64, 256, 1024], ["float32", "float64"])
    param_names = ("n", "dtype")

    def setup(self, n, dtype):
        self.matmul = attribute("matmul")
        self.a, self.b, self.c = (aligned((n, n), dtype, place) for place in range(3))

    def time_out(self, n, dtype):
        self.matmul(self.a, self.b, out=self.c, num_threads=1)


class SmallNetwork:
    """MLP 100-50-10, one sample."""

    def setup(self):
        self.model = attribute("nn.MLP")([100, 50, 10], rng=0)
        self.x, self.y, self.out = aligned(100, "float32"), aligned(10, "float32", 1), aligned(10, "float32", 2)
        self.bound = self.model.bind(self.x, self.out)

    def time_predict(self):
        self.model.predict(self.x, out=self.out)

    def time_bound(self):
        self.bound()

    def time_gradient(self):
        self.model.gradient(self.x, self.y)

    def time_train_step(self):
        self.model.train_step(self.x, self.y)


class QuantizedNetwork:
    """One sample and a batch in 8-bit integers."""

    params = (["static", "dynamic"],)
    param_names = ("mode",)

    def setup(self, mode):
        model = attribute("nn.MLP")([100, 50, 10], rng=0)
        if not hasattr(model, "quantize"):
            raise NotImplementedError("this version has no quantised networks")
        self.X = aligned((1024, 100), "float32")
        self.model = model.quantize(self.X if mode == "static" else None, mode)
        self.x, self.out, self.outs = self.X[0], aligned(10, "float32", 1), aligned((1024, 10), "float32", 2)
        self.infer = self.model.bind(self.x, self.out)

    def time_bound(self, mode):
        self.infer()

    def time_predict(self, mode):
        self.model.predict(self.x, self.out)

    def time_batch(self, mode):
        self.model.predict(self.X, self.outs)


class Features:
    """One bar through the default feature set."""

    def setup(self):
        self.extractor = attribute("features.FeatureExtractor")()
        self.bar = (10.0, 12.0, 9.0, 11.0, 1000.0)
        for _ in range(600):
            self.extractor.update(*self.bar)

    def time_update(self):
        self.extractor.update(*self.bar)

    def time_peek(self):
        self.extractor.peek(*self.bar)


class FeatureHistory:
    """A history of random bars through the default feature set."""

    def setup(self):
        self.extractor = attribute("features.FeatureExtractor")()
        rng = np.random.default_rng(0)
        close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(5000)))
        self.bars = np.stack([close, 1.01 * close, 0.99 * close, close, 1e6 * rng.random(5000)], axis=1)

    def time_transform(self):
        self.extractor.transform(self.bars)


class FeatureSymbols:
    """One bar of many symbols through the default feature set, all of them ticking or a quarter."""

    params = ([8, 1024, 4096],)
    param_names = ("symbols",)

    def setup(self, symbols):
        try:
            self.extractor = attribute("features.FeatureExtractor")(symbols=symbols)
        except ValueError:
            raise NotImplementedError("one symbol an extractor in this version") from None
        self.bar = [np.full(symbols, number) for number in (10.0, 12.0, 9.0, 11.0, 1000.0)]
        self.quarter = np.arange(symbols) % 4 == 0
        for _ in range(250):
            self.extractor.update(*self.bar)

    def time_update(self, symbols):
        self.extractor.update(*self.bar)

    def time_update_quarter(self, symbols):
        self.extractor.update(*self.bar, where=self.quarter)


class Dispatch:
    """Entering a tier, and the process's own."""

    def setup(self):
        self.use_isa = attribute("use_isa")

    def time_use_isa(self):
        with self.use_isa("reference"):
            pass


try:
    from mlopt import add as ADD
    from mlopt import exp as EXP
except ImportError:
    ADD, EXP = np.add, np.exp
