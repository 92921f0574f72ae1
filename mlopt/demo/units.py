"""Times as a reader wants them."""


def duration(nanoseconds: float) -> str:
    """A time with three digits and its unit.

    Examples
    --------
    >>> from mlopt.demo.units import duration
    >>> [duration(t) for t in (12, 999.6, 1500, 25_000, 3.21e6, 4.5e10)]
    ['12 ns', '1.00 µs', '1.50 µs', '25.0 µs', '3.21 ms', '45.0 s']
    """
    value, unit = nanoseconds, "ns"
    for larger in ("µs", "ms", "s"):
        if float(f"{value:.3g}") < 1000:
            break
        value, unit = value / 1000, larger
    if unit == "ns":
        return f"{value:.0f} ns"
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"


def factor(ratio: float) -> str:
    """A ratio with the digits it deserves.

    Examples
    --------
    >>> from mlopt.demo.units import factor
    >>> [factor(r) for r in (0.5, 7.25, 123.4, 4321)]
    ['0.50×', '7.2×', '123×', '4,321×']
    """
    return f"{ratio:.2f}×" if ratio < 1 else f"{ratio:.1f}×" if ratio < 10 else f"{ratio:,.0f}×"
