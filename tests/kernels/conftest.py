"""Parametrisation from the register: a kernel that has a row is tested on every tier of the machine."""

import pytest

from mlopt._kernels.register import available_tiers, kernel_report

# Sizes around every register width, primes, more than a block of a reduction, and a large one.
SIZES = (
    0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 61, 63, 64, 65, 127, 129, 257, 1021, 2047, 2048, 2051, 4096,
    4099, 20011,
)  # fmt: skip


def rows(*signatures):
    """Register rows of the given signatures, as pytest parameters (name, type, bound)."""
    return [
        pytest.param(row["name"], row["type"], row["bound"], id=f"{row['name']}-{row['type']}")
        for row in kernel_report()
        if row["signature"] in signatures
    ]


def tiers_of(family):
    """The tiers with bodies of their own in a family: the others take them from a lower one."""
    kernels = [row for row in kernel_report() if row["family"] == family]
    return [tier for tier in available_tiers() if any(row["origin"][tier] == tier for row in kernels)]


@pytest.fixture(params=tiers_of("vector"))
def tier(request):
    return request.param


_maxima = {}


@pytest.fixture
def observed(request):
    """Notes an observed error and its bound; the maxima are printed at the end of the run."""

    def note(kernel, tier, error, bound):
        key = (kernel, tier)
        _maxima[key] = max(_maxima.get(key, (0.0, bound)), (error, bound))
        assert error <= bound, f"{kernel} on {tier}: observed error {error:.3f}, stated bound {bound}"

    request.config.stash.setdefault(_STASH, _maxima)
    return note


_STASH = pytest.StashKey()


def pytest_terminal_summary(terminalreporter, config):
    maxima = config.stash.get(_STASH, None)
    if not maxima or config.get_verbosity() < 1:
        return
    terminalreporter.section("observed errors (bound in parentheses)")
    for (kernel, tier), (error, bound) in sorted(maxima.items()):
        terminalreporter.write_line(f"{kernel:24s} {tier:12s} {error:8.3f}  ({bound:g})")
