"""What the threads of a program yield, in the words of ``<stdatomic.h>``."""

relaxed, acquire, release, acq_rel, seq_cst = "relaxed", "acquire", "release", "acq_rel", "seq_cst"
ACQUIRES, RELEASES = {acquire, acq_rel, seq_cst}, {release, acq_rel, seq_cst}


light, heavy = "light", "heavy"  # fences: a compiler's alone, and membarrier(2) together with seq_cst


def load(location, order):
    return "load", location, order


def store(location, value, order):
    return "store", location, value, order


def exchange(location, value, order):
    """Returns what was there."""
    return "exchange", location, value, order


def fetch_add(location, amount, order):
    """Returns what was there."""
    return "fetch_add", location, amount, order


def fetch_or(location, bits, order):
    """Returns what was there."""
    return "fetch_or", location, bits, order


def compare_exchange(location, expected, desired, success, failure):
    """Returns whether it succeeded, and what was there."""
    return "compare_exchange", location, expected, desired, success, failure


def fence(order):
    return "fence", None, order


def read(name):
    """Reads plain data."""
    return "read", name


def write(name, value):
    """Writes plain data."""
    return "write", name, value


def futex_wait(location, expected):
    """Returns whether it slept (and was woken)."""
    return "futex_wait", location, expected


def futex_wake(location, count):
    return "futex_wake", location, count
