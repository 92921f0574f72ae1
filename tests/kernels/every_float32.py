"""The largest error of exp, log, tanh, sigmoid and erf over every float32 pattern, on every tier.

usage: python -m kernels.every_float32 [function ...]     (make test-ulp; some minutes a function)

The oracle is NumPy's or SciPy's double function, rounded: its own error is below 1e-8 ULP of float32.  The worst input
of each tier is evaluated once more with mpmath, and that is the error printed.  Infinities, NaN and the sign of zero
must be the oracle's exactly.  The exit status is 1 where a tier exceeds the bound that its register row states.
"""

import sys
import time
from dataclasses import dataclass

import numpy as np

from mlopt._kernels.register import Kernel, available_tiers, kernel_report

PATTERNS = 1 << 32
CHUNK = 1 << 17


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def _erf(x):
    from scipy.special import erf

    return erf(x)


ORACLES = {"exp": np.exp, "log": np.log, "tanh": np.tanh, "sigmoid": _sigmoid, "erf": _erf}
# by the biased exponent of a float32, denormals counting as the smallest normal numbers
UNITS = np.ldexp(1.0, np.maximum(np.arange(256), 1) - 127 - 23)


@dataclass
class Worst:
    """The largest error seen, in ULP, and the input that has it; infinite where a special value is wrong.

    Correctly rounded results count half a unit.
    """

    error: float = 0.5
    at: float = float("nan")

    def add(self, x, result, exact, rounded):
        """Takes in the results of some inputs."""
        if x.size == 0:
            return
        exponents = (rounded.view(np.uint32) >> 23) & 255
        errors = np.abs(result - exact) / UNITS[exponents]
        special = ~np.isfinite(rounded) | (result == 0) | ~np.isfinite(result)
        if special.any():
            ours, theirs = result[special], rounded[special]
            same = (np.isnan(ours) & np.isnan(theirs)) | (
                (np.isfinite(ours) | (ours == theirs))
                & (np.isfinite(theirs) | (ours == theirs))
                & ((ours != 0) | (np.signbit(ours) == np.signbit(theirs)))
            )
            errors[special] = np.where(same, np.where(np.isfinite(theirs), errors[special], 0), np.inf)
        worst = int(np.argmax(errors))
        if errors[worst] > self.error:
            self.error, self.at = float(errors[worst]), float(x[worst])


def exact_error(name, x, result):
    """The error of one result in ULP, by mpmath."""
    import mpmath

    functions = {"sigmoid": lambda v: 1 / (1 + mpmath.exp(-v))}
    with mpmath.workdps(60):
        exact = functions.get(name, getattr(mpmath, name, None))(mpmath.mpf(x))
        unit = UNITS[int(np.float32(exact).view(np.uint32) >> 23) & 255]
        return float(abs(mpmath.mpf(float(result)) - exact) / unit)


def search(name, tiers, first=0, step=1, stop=PATTERNS):
    """The worst result of each tier over the patterns first, first + step, ... below stop."""
    kernels = {tier: Kernel(name, "f32", tier) for tier in tiers}
    worst = {tier: Worst() for tier in tiers}
    offsets = np.arange(CHUNK, dtype=np.uint64) * step
    with np.errstate(all="ignore"):
        for start in range(first, stop, CHUNK * step):
            patterns = start + offsets[: -(-(stop - start) // step)]
            x = patterns.astype(np.uint32).view(np.float32)
            exact = ORACLES[name](x.astype(np.float64))
            rounded = exact.astype(np.float32)
            for tier, kernel in kernels.items():
                result = np.empty_like(x)
                kernel((x.size,), x, result)
                at = np.flatnonzero(result.view(np.uint32) != rounded.view(np.uint32))
                worst[tier].add(x[at], result[at], exact[at], rounded[at])
    for tier, found in worst.items():
        if np.isfinite(found.error) and found.error > 0.5:
            x, result = np.array([found.at], np.float32), np.empty(1, np.float32)
            kernels[tier]((1,), x, result)
            found.error = exact_error(name, found.at, result[0])
    return worst


def own_tiers(name):
    """The tiers that have a kernel of their own; the others take one of these."""
    origins = next(row["origin"] for row in kernel_report() if row["name"] == name and row["type"] == "f32")
    return [tier for tier in available_tiers() if origins[tier] == tier]


def bounds():
    """The bound that the register states for each function."""
    return {row["name"]: row["bound"] for row in kernel_report() if row["type"] == "f32" and row["name"] in ORACLES}


def main(names):
    """Prints a line for every function and tier."""
    failed = 0
    for name in names or ORACLES:
        start = time.perf_counter()
        for tier, worst in search(name, own_tiers(name)).items():
            failed += worst.error > bounds()[name]
            print(f"{name:8s} {tier:10s} {worst.error:7.4f} ULP at {float(worst.at)!r} (bound {bounds()[name]:g})")
        print(f"{name:8s} all {PATTERNS} patterns in {time.perf_counter() - start:.0f} s", flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
