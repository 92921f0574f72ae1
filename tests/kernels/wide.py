"""The vector kernels in wider arithmetic: what every tier is measured against."""

import numpy as np

# f32 is compared with float64, f64 with the platform's long double where that is wider.
WIDE = {"f32": np.float64, "f64": np.longdouble}
DTYPE = {"f32": np.float32, "f64": np.float64}


def _by_mpmath(function, x):
    """function of mpmath at 30 digits, elementwise, in the wide type."""
    import mpmath

    smallest = mpmath.mpf("1e-400")

    def one(value):
        # erf and the normal distribution have long reached their limits at 1e4; mpmath fails beyond
        result = getattr(mpmath, function)(float(np.clip(value, -1e4, 1e4)))
        # below the smallest number that the comparison can resolve, parsing would only warn
        return x.dtype.type(mpmath.nstr(result, 25)) if not abs(result) <= smallest else x.dtype.type(0)

    with mpmath.workdps(30):
        return np.array([one(value) for value in x.ravel()], x.dtype).reshape(x.shape)


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


FUNCTIONS = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "fma": lambda a, b, c: a * b + c,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "erf": lambda x: _by_mpmath("erf", x),
    "relu": lambda x: np.where(x < 0, x.dtype.type(0), x),
    "gelu": lambda x: x * _by_mpmath("ncdf", x),
    "silu": lambda x: x * _sigmoid(x),
}


def denormal_factor(name, operands):
    """silu and gelu are x times a number that may be denormal: its rounding counts |x| times."""
    if name not in ("silu", "gelu"):
        return 1.0
    return np.where(np.isfinite(operands[0]), np.maximum(np.abs(operands[0]), 1), 1)


def ulp_error(result, exact, factor=1.0):
    """The largest error in units in the last place of the result's type, a unit being at least `factor`
    smallest denormals; infinite where one is finite and the other is not, or an infinity or NaN differs."""
    result, exact = np.asarray(result), np.asarray(exact)
    tiny = np.finfo(result.dtype).smallest_subnormal
    with np.errstate(over="ignore", under="ignore"):
        rounded = exact.astype(result.dtype)
    finite = np.isfinite(result) & np.isfinite(rounded)
    same = (result == rounded) | (np.isnan(result) & np.isnan(rounded))
    if not np.all(finite | same):
        return np.inf
    if not finite.any():
        return 0.0
    smallest = tiny * np.broadcast_to(factor, result.shape)[finite]
    below_overflow = np.minimum(
        np.abs(rounded[finite]), np.nextafter(np.finfo(result.dtype).max, 0, dtype=result.dtype)
    )
    unit = np.maximum(np.spacing(below_overflow), smallest).astype(exact.dtype)
    return float(np.max(np.abs(result[finite].astype(exact.dtype) - exact[finite]) / unit))
