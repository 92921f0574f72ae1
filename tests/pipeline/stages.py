"""Stages and pipelines for the tests; a module of its own, since processes import what they are sent."""

import numpy as np

import mlopt
from mlopt.features import FeatureExtractor, Scaler, sample_bars

FEATURES = ("return_1", "rsi_14", "sma_20", "ema_10", "atr_14", "zscore_20")


def bars(count=700):
    """Real bars as a table."""
    return np.ascontiguousarray(sample_bars()[:count].as_array())


def fitted(count=700):
    """(extractor, scaler, model) for those features; the extractor has seen nothing."""
    extractor = FeatureExtractor(FEATURES)
    scaler = Scaler(len(FEATURES)).fit(extractor.transform(bars(count))[extractor.lookback :])
    return extractor, scaler, mlopt.nn.MLP((len(FEATURES), 12, 3), rng=1)


def expected(rows):
    """What the three stages make of the rows, one call after the other; NaN rows for bad bars."""
    extractor, scaler, model = fitted()
    outputs = np.full((len(rows), 3), np.nan, np.float32)
    for i, row in enumerate(rows):
        try:
            features = extractor.update(*row)
        except ValueError:
            continue
        outputs[i] = model.predict(scaler.transform(features, np.empty(len(FEATURES), np.float32)))
    return outputs


def spoiled(rows, where):
    """The rows with impossible bars at some places."""
    rows = rows.copy()
    for place, i in enumerate(where):
        rows[i, place % 5] = (np.nan, -1.0, 1e9, 0.0, -5.0)[place % 5]
    return rows


class Total:
    """A stage with a memory: running totals."""

    def __init__(self):
        self.sum = 0.0

    def __call__(self, x, out):
        self.sum += x[0]
        out[0] = self.sum

    def get_state(self):
        return self.sum

    def set_state(self, state):
        self.sum = state


def fails_on_13(x, out):
    """A stage that raises for one record."""
    if x[0] == 13:
        raise ArithmeticError("thirteen")
    out[:] = x


def odd_only(x, out):
    """A stage without output for even numbers."""
    out[:] = x
    return x[0] % 2 == 1


class Remembers(Total):
    """Totals, with records that it fails and records without output; what it remembers grows with every record."""

    def __init__(self, every_failure=13, every_nothing=7):
        super().__init__()
        self.every_failure, self.every_nothing, self.seen = every_failure, every_nothing, []

    def __call__(self, x, out):
        number = int(x[0])
        if number % self.every_failure == 5:
            raise ArithmeticError(f"{number} is one of those")
        self.seen.append(number)
        super().__call__(x, out)
        return number % self.every_nothing != 3

    def get_state(self):
        return self.sum, list(self.seen)

    def set_state(self, state):
        self.sum, self.seen = state[0], list(state[1])


def remembered(count, *stages):
    """(number, total) of each output that stages of that kind have for the numbers from 0 on."""
    outputs = []
    for number in range(count):
        x, out = np.array([float(number)]), np.zeros(1)
        for stage in stages:
            try:
                if stage(x, out) is False:
                    break
            except ArithmeticError:
                break
            x = out.copy()
        else:
            outputs.append((number, float(out[0])))
    return outputs


def as_float(x, out):
    """A stage without memory."""
    out[:] = x


def first_of(x, out):
    """The first of many numbers."""
    out[0] = x[0]


class Unruly:
    """A stage whose state cannot be kept."""

    def __call__(self, x, out):
        out[:] = x

    def get_state(self):
        raise OSError("no state today")

    def set_state(self, state):
        pass


class SlowToEnd:
    """A stage whose process takes long to end after its last record."""

    def __init__(self):
        self.armed = False

    def __call__(self, x, out):
        out[:] = x

    def __setstate__(self, state):
        import atexit
        import time

        self.__dict__.update(state)
        atexit.register(time.sleep, 60)


def tier_of(x, out):
    """A stage that says on which tier it computes."""
    out[0] = mlopt.available_tiers().index(mlopt.current_isa())


def says_much(x, out):
    """A stage whose exceptions cannot be described."""

    class Mute(Exception):
        def __str__(self):
            raise ValueError("mute")

    raise Mute
